//! Refusals of Systems Manager's calls, and their authorization.

use crate::account::{ACCOUNT_ID, Account, Caller};
use crate::state::State;

pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) message: String,
}

pub(super) fn failure(code: &'static str, message: impl Into<String>) -> Failure {
    Failure {
        code,
        message: message.into(),
    }
}

pub(super) fn authorize(
    account: &Account,
    caller: &Caller,
    action: &str,
    resource: &str,
) -> Result<(), Failure> {
    match account.denial(caller, action) {
        Some(context) => Err(failure(
            "AccessDeniedException",
            format!(
                "User: {} is not authorized to perform: {action} on resource: {resource} {context}",
                caller.arn
            ),
        )),
        None => Ok(()),
    }
}

/// The resource that a call about a target is authorized on.
pub(super) fn target_arn(state: &State, target: &str) -> String {
    let region = &state.region;
    if target.starts_with("mi-") {
        format!("arn:aws:ssm:{region}:{ACCOUNT_ID}:managed-instance/{target}")
    } else {
        format!("arn:aws:ec2:{region}:{ACCOUNT_ID}:instance/{target}")
    }
}
