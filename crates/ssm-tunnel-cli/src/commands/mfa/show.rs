//! A session, as it is shown.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format as DateFormat;
use serde_json::json;
use ssm_mfa::{SessionInfo, SessionKind, SessionSource};

use crate::output::Output;

/// Prints a session, without its secrets.
pub(super) fn show(output: Output, session: &SessionInfo) {
    let kind = match session.kind {
        SessionKind::Mfa => "mfa",
        SessionKind::Role => "role",
        SessionKind::RoleWithCode => "role_with_code",
        SessionKind::RoleWithoutMfa => "role_without_mfa",
        _ => "configured",
    };
    let source = match session.source {
        SessionSource::Cache => "cache",
        SessionSource::CliCache => "cli_cache",
        _ => "fresh",
    };
    let fields = json!({
        "kind": kind,
        "source": source,
        "account": session.account,
        "arn": session.arn,
        "access_key_id": session.access_key_id,
        "expires": session.expires.and_then(date),
        "code_needed": session.code_needed.and_then(date),
        "passed_over": session.passed_over,
    });
    output.object("session", &fields);
    let what = match session.kind {
        SessionKind::Mfa => "MFA session".to_owned(),
        SessionKind::Configured => match &session.passed_over {
            Some(profile) => format!(
                "The keys of AWS_ACCESS_KEY_ID, without MFA: they go before profile {profile}, whose device or role is not in use (--profile {profile} uses it)"
            ),
            None => "Credentials as they are configured, without a code".to_owned(),
        },
        _ => format!("Session {}", session.arn.as_deref().unwrap_or("of a role")),
    };
    let until = |time: Option<SystemTime>| time.and_then(date);
    let ends = match (until(session.expires), until(session.code_needed)) {
        (Some(ends), Some(needed)) if ends == needed => format!(" until {ends}"),
        (Some(ends), Some(needed)) => {
            format!(" until {ends}, renewed without a code until {needed}")
        }
        (Some(ends), None) => format!(" until {ends}"),
        _ => String::new(),
    };
    let from = match session.source {
        SessionSource::Cache => " (kept from an earlier login)",
        SessionSource::CliCache => " (from the AWS CLI)",
        _ => "",
    };
    output.say_to_people(&format!("{what}{ends}{from}"));
}

/// `2026-11-24T12:00:00Z`
pub(super) fn date(time: SystemTime) -> Option<String> {
    let whole = DateTime::from_secs(DateTime::from(time).secs());
    whole.fmt(DateFormat::DateTime).ok()
}
