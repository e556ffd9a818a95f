//! DescribeSessions: the account's sessions, active or over (AWS Systems Manager API Reference,
//! DescribeSessions and SessionFilter).

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::{Failure, authorize, failure};
use super::page::{offset, page_size, token};
use crate::account::{ACCOUNT_ID, Caller, Session, SessionStatus};
use crate::clock::parse_iso8601;
use crate::state::State;

/// Items that a request may ask for per page.
const PAGES: std::ops::RangeInclusive<i64> = 1..=200;
/// Items of a page, unless asked for otherwise.
const PAGE: usize = 200;
/// Filters that one call takes.
const MOST_FILTERS: usize = 6;
/// How long the service lists a session that is over.
const HISTORY: Duration = Duration::from_secs(30 * 24 * 3600);

const KEYS: [&str; 7] = [
    "InvokedAfter",
    "InvokedBefore",
    "Target",
    "Owner",
    "Status",
    "SessionId",
    "AccessType",
];
const STATUSES: [&str; 6] = [
    "Connected",
    "Connecting",
    "Disconnected",
    "Terminated",
    "Terminating",
    "Failed",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeSessions {
    state: String,
    #[serde(default)]
    filters: Option<Vec<Filter>>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Its members begin in lower case.
#[derive(Deserialize)]
struct Filter {
    key: String,
    value: String,
}

/// A filter that was understood.
enum Condition<'a> {
    InvokedAfter(Duration),
    InvokedBefore(Duration),
    Target(&'a str),
    Owner(&'a str),
    Status(&'a str),
    SessionId(&'a str),
    AccessType(&'a str),
}

pub(super) fn describe_sessions(
    state: &State,
    caller: &Caller,
    request: &DescribeSessions,
) -> Result<Value, Failure> {
    let account = state.account();
    let all = format!("arn:aws:ssm:{}:{ACCOUNT_ID}:*", state.region);
    authorize(&account, caller, "ssm:DescribeSessions", &all)?;
    let active = match request.state.as_str() {
        "Active" => true,
        "History" => false,
        other => {
            return Err(invalid(format!(
                "Value '{other}' at 'state' failed to satisfy constraint: Member must satisfy enum value set: [Active, History]"
            )));
        }
    };
    let conditions = conditions(request.filters.as_deref().unwrap_or_default())?;
    let size = page_size(request.max_results, PAGES)?.unwrap_or(PAGE);
    let start = match &request.next_token {
        Some(token) => offset(token)?,
        None => 0,
    };
    let now = state.clock.unix();
    let mut found: Vec<(&String, &Session)> = account
        .sessions
        .iter()
        .filter(|(_, session)| match session.ended_at {
            None => active,
            Some(at) => !active && now.saturating_sub(at) <= HISTORY,
        })
        .filter(|(id, session)| conditions.iter().all(|it| it.holds(id, session)))
        .collect();
    // The latest first.
    found.sort_by_key(|(_, session)| std::cmp::Reverse(session.number));
    let page: Vec<Value> = found
        .iter()
        .skip(start)
        .take(size)
        .map(|(id, session)| describe(id, session))
        .collect();
    let end = start.saturating_add(size);
    let mut answer = json!({ "Sessions": page });
    if end < found.len() {
        answer["NextToken"] = token(end).into();
    }
    Ok(answer)
}

fn invalid(text: String) -> Failure {
    failure(
        "ValidationException",
        format!("1 validation error detected: {text}"),
    )
}

fn conditions(filters: &[Filter]) -> Result<Vec<Condition<'_>>, Failure> {
    if filters.len() > MOST_FILTERS {
        return Err(invalid(format!(
            "Value at 'filters' failed to satisfy constraint: Member must have length less than or equal to {MOST_FILTERS}"
        )));
    }
    filters.iter().map(condition).collect()
}

fn condition(filter: &Filter) -> Result<Condition<'_>, Failure> {
    let Filter { key, value } = filter;
    if !KEYS.contains(&key.as_str()) {
        return Err(failure(
            "InvalidFilterKey",
            format!("{key} is not a valid filter key."),
        ));
    }
    if !(1..=400).contains(&value.chars().count()) {
        return Err(invalid(format!(
            "Value at 'filters' failed to satisfy constraint: the value of {key} must have length from 1 to 400"
        )));
    }
    let one_of = |known: &[&str]| {
        if known.contains(&value.as_str()) {
            return Ok(value.as_str());
        }
        Err(invalid(format!(
            "{key} filter is invalid, valid values are {}",
            known.join(", ")
        )))
    };
    let time = || {
        parse_iso8601(value).ok_or_else(|| {
            invalid(format!(
                "{key} filter is invalid: {value} is not a timestamp such as 2024-08-29T00:00:00Z"
            ))
        })
    };
    Ok(match key.as_str() {
        "InvokedAfter" => Condition::InvokedAfter(time()?),
        "InvokedBefore" => Condition::InvokedBefore(time()?),
        "Target" => Condition::Target(value),
        "Owner" => Condition::Owner(value),
        "Status" => Condition::Status(one_of(&STATUSES)?),
        "SessionId" => Condition::SessionId(value),
        _ => Condition::AccessType(one_of(&["Standard", "JustInTime"])?),
    })
}

impl Condition<'_> {
    fn holds(&self, id: &str, session: &Session) -> bool {
        match *self {
            Self::InvokedAfter(at) => session.started_at >= at,
            Self::InvokedBefore(at) => session.started_at < at,
            Self::Target(target) => session.target == target,
            Self::Owner(owner) => session.owner == owner,
            Self::Status(status) => status_name(session.status()) == status,
            Self::SessionId(wanted) => id == wanted,
            Self::AccessType(kind) => kind == "Standard",
        }
    }
}

fn status_name(status: SessionStatus) -> &'static str {
    match status {
        SessionStatus::Connecting => "Connecting",
        SessionStatus::Connected => "Connected",
        SessionStatus::Disconnected => "Disconnected",
        SessionStatus::Terminated => "Terminated",
    }
}

/// One session, as DescribeSessions and the sandbox's own control list it.
pub(crate) fn describe(id: &str, session: &Session) -> Value {
    let mut described = json!({
        "SessionId": id,
        "Target": session.target,
        "Status": status_name(session.status()),
        "StartDate": session.started_at.as_secs_f64(),
        "DocumentName": session.document,
        "Owner": session.owner,
        "OutputUrl": {},
        "AccessType": "Standard",
    });
    if let Some(at) = session.ended_at {
        described["EndDate"] = at.as_secs_f64().into();
    }
    if let Some(reason) = session.reason.as_ref().filter(|it| !it.is_empty()) {
        described["Reason"] = reason.as_str().into();
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(filters: &[(&str, &str)]) -> Option<&'static str> {
        let filters: Vec<_> = filters
            .iter()
            .map(|(key, value)| Filter {
                key: (*key).to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        conditions(&filters).err().map(|failure| failure.code)
    }

    #[test]
    fn filters_are_refused_with_the_codes_of_the_reference() {
        assert_eq!(refused(&[("Color", "red")]), Some("InvalidFilterKey"));
        for (key, value) in [
            ("Status", "Sleeping"),
            ("Owner", ""),
            ("InvokedAfter", "yesterday"),
            ("InvokedBefore", "2024-13-29T00:00:00Z"),
            ("AccessType", "Any"),
        ] {
            assert_eq!(
                refused(&[(key, value)]),
                Some("ValidationException"),
                "{key}={value}"
            );
        }
        assert_eq!(
            refused(&[("Target", "i-1"); 7]),
            Some("ValidationException")
        );
        assert_eq!(
            refused(&[
                ("Target", "i-1"),
                ("InvokedAfter", "2024-08-29T00:00:00Z"),
                ("Status", "Failed")
            ]),
            None
        );
    }
}
