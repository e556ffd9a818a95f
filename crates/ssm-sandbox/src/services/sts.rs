//! The Security Token Service (AWS Query protocol, version 2011-06-15).

use std::time::Duration;

use crate::account::{ACCOUNT_ID, Account, Caller, CodeCheck, Kind};
use crate::clock::iso8601;
use crate::services::query::{Failure, Form, STS, denied, escape, invalid};
use crate::services::response::ServiceResponse;
use crate::state::State;

const INVALID_CODE: &str = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
const WRONG_DEVICE: &str = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.";
const CODE_MISSING: &str =
    "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.";

/// The longest session of a role that another session assumes.
const CHAINED: Duration = Duration::from_secs(3600);

/// The actions implemented here.
pub(crate) const ACTIONS: [&str; 3] = ["GetSessionToken", "AssumeRole", "GetCallerIdentity"];

pub(crate) fn answer(state: &State, caller: &Caller, form: &Form) -> ServiceResponse {
    let now = state.clock.unix();
    let mut account = state.account();
    let action = form.get("Action").map_or("", String::as_str);
    let outcome = match action {
        "GetSessionToken" => get_session_token(&mut account, caller, form, now),
        "AssumeRole" => assume_role(&mut account, caller, form, now),
        "GetCallerIdentity" => Ok(caller_identity(caller)),
        other => Err(STS.unknown_action(other)),
    };
    let request_id = account.uuid();
    STS.answer(action, outcome, request_id)
}

fn get_session_token(
    account: &mut Account,
    caller: &Caller,
    form: &Form,
    now: Duration,
) -> Result<String, Failure> {
    if caller.kind != Kind::LongTerm {
        return Err(denied(
            "Cannot call GetSessionToken with session credentials",
        ));
    }
    let duration = duration(form, 900..=129_600, 43_200)?;
    let mfa_at = check_code(account, caller, form, now)?;
    let session = Caller {
        kind: Kind::Session,
        mfa_at,
        ..caller.clone()
    };
    let (id, issued) = account.issue(now + duration, session);
    Ok(credentials(&id, issued))
}

fn assume_role(
    account: &mut Account,
    caller: &Caller,
    form: &Form,
    now: Duration,
) -> Result<String, Failure> {
    let arn = form.get("RoleArn").map_or("", String::as_str);
    let session = form.get("RoleSessionName").map_or("", String::as_str);
    let path = arn
        .strip_prefix(&format!("arn:aws:iam::{ACCOUNT_ID}:role/"))
        .filter(|path| !path.is_empty())
        .ok_or_else(|| invalid(format!("{arn} is invalid")))?;
    // The session's ARN leaves the role's path out.
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    if session.len() < 2 {
        return Err(invalid(
            "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2",
        ));
    }
    let duration = duration(form, 900..=43_200, 3600)?;
    if caller.kind != Kind::LongTerm && duration > CHAINED {
        return Err(invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    let not_authorized = || {
        denied(format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
            caller.arn
        ))
    };
    let role = account.role(&name).ok_or_else(not_authorized)?;
    if duration > role.max_session_duration {
        return Err(invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let mfa_at = check_code(account, caller, form, now)?.or(caller.mfa_at);
    let age = mfa_at.map(|at| now.saturating_sub(at));
    let has_mfa = age.is_some_and(|age| role.max_mfa_age.is_none_or(|most| age < most));
    let wants_mfa = role.requires_mfa || role.max_mfa_age.is_some();
    let external_id = form.get("ExternalId");
    if (account.enforce_mfa && wants_mfa && !has_mfa)
        || (role.external_id.is_some() && role.external_id.as_ref() != external_id)
    {
        return Err(not_authorized());
    }
    let assumed = format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/{name}/{session}");
    let assumer = Caller {
        arn: assumed.clone(),
        name: session.to_owned(),
        kind: Kind::Role,
        mfa_at,
    };
    let (id, issued) = account.issue(now + duration, assumer);
    Ok(format!(
        "{}<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>",
        credentials(&id, issued),
        escape(session),
        escape(&assumed)
    ))
}

/// When a code was accepted: now, if one was given.
fn check_code(
    account: &mut Account,
    caller: &Caller,
    form: &Form,
    now: Duration,
) -> Result<Option<Duration>, Failure> {
    match (form.get("SerialNumber"), form.get("TokenCode")) {
        (None, None) => Ok(None),
        (Some(serial), Some(code)) => {
            if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
                return Err(invalid(
                    "1 validation error detected: Value at 'tokenCode' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\d]*",
                ));
            }
            // A role has no devices, whatever its session is called.
            let user = match caller.kind {
                Kind::Role => "",
                _ => caller.name.as_str(),
            };
            match account.use_code(user, serial, code, now) {
                CodeCheck::Accepted => Ok(Some(now)),
                CodeCheck::WrongSerial => Err(denied(WRONG_DEVICE)),
                CodeCheck::WrongCode => Err(denied(INVALID_CODE)),
            }
        }
        _ => Err(denied(CODE_MISSING)),
    }
}

fn duration(
    form: &Form,
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

fn caller_identity(caller: &Caller) -> String {
    let id = match caller.kind {
        Kind::Role => format!("AROAEXAMPLE:{}", caller.name),
        _ => "AIDAEXAMPLE".to_owned(),
    };
    format!(
        "<Arn>{}</Arn><UserId>{}</UserId><Account>{ACCOUNT_ID}</Account>",
        escape(&caller.arn),
        escape(&id)
    )
}

#[cfg(test)]
mod tests;
