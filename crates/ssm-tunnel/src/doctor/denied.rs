//! What to do about a call that was denied.

use serde_json::json;

use super::report::{Check, CheckName};
use crate::error::{Denial, DenialCause, PolicyType, ServiceError, iam_action};

/// What to do about a denial, with the policy statement where one is missing.
pub(super) fn remedy(denial: &Denial, action: &str, on: &str, resources: &[String]) -> String {
    let advice = denial.advice(action, on);
    let missing = denial.cause != DenialCause::ExplicitDeny
        && matches!(
            denial.policy,
            PolicyType::IdentityBased | PolicyType::ResourceBased | PolicyType::Unstated
        );
    if missing {
        format!("{advice}\n{}", statement(action, resources))
    } else {
        advice
    }
}

/// The check of a call that failed, and that a tunnel does not need.
pub(super) fn unasked(name: CheckName, error: &ServiceError, resource: &str) -> Check {
    match error {
        ServiceError::AccessDenied {
            action, message, ..
        } => {
            let denial = Denial::read(message);
            let on = match resource {
                "*" => "all resources",
                _ => "the target",
            };
            let told = denial.resource.as_deref().filter(|_| resource != "*");
            let action = iam_action(action);
            let resources = [told.unwrap_or(resource).to_owned()];
            let remedy = remedy(&denial, &action, on, &resources);
            Check::unknown(name, format!("{action} was denied, {denial}"))
                .next(format!("a tunnel does not need it; {remedy}"))
                .detail("denial", denial)
        }
        error => Check::unknown(name, error.to_string()),
    }
}

fn statement(action: &str, resources: &[String]) -> String {
    let resource = match resources {
        [one] => json!(one),
        many => json!(many),
    };
    json!({ "Effect": "Allow", "Action": action, "Resource": resource }).to_string()
}
