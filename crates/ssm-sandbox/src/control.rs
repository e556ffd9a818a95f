//! The sandbox's own HTTP paths, for scripts: what a test in Rust does with [`Sandbox`]'s methods.
//!
//! [`Sandbox`]: crate::Sandbox

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use http::{Method, StatusCode, Uri};
use serde_json::json;

use crate::faults::ApiFault;
use crate::state::State;

const PREFIX: &str = "/sandbox/";

/// Answers a path of the sandbox's own; `None` for any other.
pub(crate) fn answer(state: &State, method: &Method, uri: &Uri) -> Option<(StatusCode, String)> {
    let path = uri.path().strip_prefix(PREFIX)?;
    let query = uri.query().unwrap_or_default();
    let parameters: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let outcome = match (method, path) {
        (&Method::GET, "code") => code(state, &parameters),
        (&Method::GET, "requests") => Ok(requests(state)),
        (&Method::POST, "fault") => fault(state, &parameters),
        (&Method::POST, "expire") => {
            state.account().expire_temporary();
            Ok(String::new())
        }
        (&Method::POST, "advance") => seconds(&parameters).map(|by| {
            state.clock.advance(by);
            String::new()
        }),
        _ => Err("the sandbox has no such path"),
    };
    Some(match outcome {
        Ok(body) => (StatusCode::OK, body),
        Err(text) => (StatusCode::BAD_REQUEST, format!("{text}\n")),
    })
}

/// What a device shows: `serial`, or the first user's first device.
fn code(state: &State, parameters: &BTreeMap<String, String>) -> Result<String, &'static str> {
    let account = state.account();
    let device = match parameters.get("serial") {
        Some(serial) => account.device(serial),
        None => account.users().first().and_then(|it| it.devices.first()),
    };
    let device = device.filter(|device| device.has_codes());
    let device = device.ok_or("there is no such device with codes")?;
    Ok(format!("{}\n", device.next_code(state.clock.unix())))
}

/// One JSON object a line.
fn requests(state: &State) -> String {
    let lines = state.requests().into_iter().map(|request| {
        let at = request.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = json!({
            "action": request.action,
            "at": at.as_secs(),
            "access_key_id": request.access_key_id,
            "parameters": request.parameters,
            "code": request.code,
            "outcome": request.outcome,
        });
        format!("{line}\n")
    });
    lines.collect()
}

/// The next call of `action` goes wrong as `kind` says.
fn fault(state: &State, parameters: &BTreeMap<String, String>) -> Result<String, &'static str> {
    let action = parameters.get("action").ok_or("an action is missing")?;
    let text = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    let fault = match parameters.get("kind").map(String::as_str) {
        Some("error-after-handling") => ApiFault::ErrorAfterHandling,
        Some("drop-after-handling") => ApiFault::DropAfterHandling,
        Some("throttle") => ApiFault::Throttle,
        Some("malformed-body") => ApiFault::MalformedBody,
        Some("date-ahead") => ApiFault::DateAhead(seconds(parameters)?),
        Some("refuse") => ApiFault::Refuse {
            code: text("code"),
            message: text("message"),
        },
        _ => {
            return Err(
                "kind is one of error-after-handling, drop-after-handling, throttle, \
                 malformed-body, date-ahead (with seconds), refuse (with code and message)",
            );
        }
    };
    state.add_fault(action, fault);
    Ok(String::new())
}

fn seconds(parameters: &BTreeMap<String, String>) -> Result<Duration, &'static str> {
    let seconds = parameters.get("seconds").and_then(|text| text.parse().ok());
    seconds
        .map(Duration::from_secs)
        .ok_or("seconds is not a number")
}
