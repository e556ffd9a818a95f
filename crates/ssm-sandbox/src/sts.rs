//! The Security Token Service (AWS Query protocol, version 2011-06-15).

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;

use crate::account::{ACCOUNT_ID, Account, Caller, CodeCheck, Kind};
use crate::api::Answer;
use crate::clock::iso8601;
use crate::state::State;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

const INVALID_CODE: &str = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
const WRONG_DEVICE: &str = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.";
const CODE_MISSING: &str =
    "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.";

struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

fn denied(message: impl Into<String>) -> Failure {
    Failure {
        status: StatusCode::FORBIDDEN,
        code: "AccessDenied",
        message: message.into(),
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure {
        status: StatusCode::BAD_REQUEST,
        code: "ValidationError",
        message: message.into(),
    }
}

pub(crate) fn answer(state: &State, caller: &Caller, form: &BTreeMap<String, String>) -> Answer {
    let now = state.clock.unix();
    let mut account = state.account();
    let action = form.get("Action").map_or("", String::as_str);
    let outcome = match action {
        "GetSessionToken" => get_session_token(&mut account, caller, form, now),
        "AssumeRole" => assume_role(&mut account, caller, form, now),
        "GetCallerIdentity" => Ok(caller_identity(&account, caller)),
        other => Err(Failure {
            status: StatusCode::BAD_REQUEST,
            code: "InvalidAction",
            message: format!("Could not find operation {other} for version 2011-06-15"),
        }),
    };
    match outcome {
        Ok(result) => {
            let request_id = account.uuid();
            Answer {
                status: StatusCode::OK,
                content_type: "text/xml",
                body: format!(
                    "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>\
                     <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
                ),
                error: None,
            }
        }
        Err(failure) => error(failure.status, failure.code, &failure.message),
    }
}

pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    Answer {
        status,
        content_type: "text/xml",
        body: format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>{}</Message></Error></ErrorResponse>",
            escape(message)
        ),
        error: Some(code.to_owned()),
    }
}

fn get_session_token(
    account: &mut Account,
    caller: &Caller,
    form: &BTreeMap<String, String>,
    now: Duration,
) -> Result<String, Failure> {
    if caller.kind != Kind::LongTerm {
        return Err(denied(
            "Cannot call GetSessionToken with session credentials",
        ));
    }
    let duration = duration(form, 900..=129_600, 43_200)?;
    let mfa = check_code(account, form, now)?;
    let (id, issued) = account.issue(now + duration, mfa, None);
    Ok(credentials(&id, issued))
}

fn assume_role(
    account: &mut Account,
    caller: &Caller,
    form: &BTreeMap<String, String>,
    now: Duration,
) -> Result<String, Failure> {
    let role = form.get("RoleArn").map_or("", String::as_str);
    let session = form.get("RoleSessionName").map_or("", String::as_str);
    let name = role
        .strip_prefix(&format!("arn:aws:iam::{ACCOUNT_ID}:role/"))
        .ok_or_else(|| invalid(format!("{role} is invalid")))?
        .to_owned();
    if session.len() < 2 {
        return Err(invalid(
            "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2",
        ));
    }
    let duration = duration(form, 900..=43_200, 3600)?;
    if matches!(caller.kind, Kind::Role { .. }) && duration > Duration::from_secs(3600) {
        return Err(chained());
    }
    if matches!(caller.kind, Kind::Session { .. }) && duration > Duration::from_secs(3600) {
        return Err(chained());
    }
    let with_code = check_code(account, form, now)?;
    let mfa = with_code || caller.has_mfa();
    if account.enforce_mfa && !mfa {
        return Err(denied(format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {role}",
            caller.arn
        )));
    }
    let arn = format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/{name}/{session}");
    let (id, issued) = account.issue(now + duration, mfa, Some(arn.clone()));
    Ok(format!(
        "{}<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>",
        credentials(&id, issued),
        escape(session),
        escape(&arn)
    ))
}

fn chained() -> Failure {
    invalid(
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    )
}

/// Whether a code was given, and good.
fn check_code(
    account: &mut Account,
    form: &BTreeMap<String, String>,
    now: Duration,
) -> Result<bool, Failure> {
    match (form.get("SerialNumber"), form.get("TokenCode")) {
        (None, None) => Ok(false),
        (Some(serial), Some(code)) => {
            if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
                return Err(invalid(
                    "1 validation error detected: Value at 'tokenCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\d]*",
                ));
            }
            match account.use_code(serial, code, now) {
                CodeCheck::Accepted => Ok(true),
                CodeCheck::WrongSerial => Err(denied(WRONG_DEVICE)),
                CodeCheck::WrongCode => Err(denied(INVALID_CODE)),
            }
        }
        _ => Err(denied(CODE_MISSING)),
    }
}

fn duration(
    form: &BTreeMap<String, String>,
    range: std::ops::RangeInclusive<u64>,
    default: u64,
) -> Result<Duration, Failure> {
    let Some(text) = form.get("DurationSeconds") else {
        return Ok(Duration::from_secs(default));
    };
    let (bound, limit) = match text.parse::<u64>() {
        Ok(secs) if range.contains(&secs) => return Ok(Duration::from_secs(secs)),
        Ok(secs) if secs > *range.end() => ("less than or equal to", range.end()),
        _ => ("greater than or equal to", range.start()),
    };
    Err(invalid(format!(
        "1 validation error detected: Value '{text}' at 'durationSeconds' failed to satisfy constraint: Member must have value {bound} {limit}"
    )))
}

fn credentials(id: &str, issued: &crate::account::Temporary) -> String {
    format!(
        "<Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
         <SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>",
        issued.secret_access_key,
        issued.session_token,
        iso8601(issued.expires)
    )
}

fn caller_identity(account: &Account, caller: &Caller) -> String {
    let id = match caller.kind {
        Kind::Role { .. } => "AROAEXAMPLE",
        _ => account.user.name.as_str(),
    };
    format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{ACCOUNT_ID}</Account>",
        escape(&caller.arn),
        escape(id)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
