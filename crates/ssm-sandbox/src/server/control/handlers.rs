//! What each path does.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use crate::account::instance::Instance;
use crate::account::session_control::Command;
use crate::services;
use crate::services::ssm::sessions;
use crate::state::State;
use crate::state::faults::{ApiFault, ResumeUrl};

/// The query's parameters.
pub(super) type Parameters = BTreeMap<String, String>;

/// The current code of the device `serial`, or of the first user's first device.
pub(super) fn code(state: &State, parameters: &Parameters) -> Result<String, String> {
    let account = state.account();
    let device = match parameters.get("serial") {
        Some(serial) => account.device(serial),
        None => account.users().first().and_then(|it| it.devices.first()),
    };
    let device = device.filter(|device| device.has_codes());
    let device = device.ok_or("no such device, or one without codes")?;
    Ok(format!("{}\n", device.next_code(state.clock.unix())))
}

/// One JSON object per line.
pub(super) fn requests(state: &State, _: &Parameters) -> Result<String, String> {
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
    Ok(lines.collect())
}

/// One JSON object per line, the oldest first.
pub(super) fn list_sessions(state: &State, _: &Parameters) -> Result<String, String> {
    let account = state.account();
    let mut all: Vec<_> = account.sessions.iter().collect();
    all.sort_by_key(|(_, session)| session.number);
    let lines = all
        .into_iter()
        .map(|(id, session)| format!("{}\n", sessions::describe(id, session)));
    Ok(lines.collect())
}

/// Makes the next call of `action` fail as `kind` says.
pub(super) fn fault(state: &State, parameters: &Parameters) -> Result<String, String> {
    let known = || services::actions().collect::<Vec<_>>().join(", ");
    let action = parameters
        .get("action")
        .ok_or_else(|| format!("missing action: one of {}", known()))?;
    if !services::actions().any(|known| known == action) {
        return Err(format!("unknown action {action}: one of {}", known()));
    }
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
                "invalid kind: one of error-after-handling, drop-after-handling, throttle, \
                 malformed-body, date-ahead (with seconds), refuse (with code and message)"
                    .to_owned(),
            );
        }
    };
    if !state.add_fault(action, fault) {
        return Err("too many faults are queued".to_owned());
    }
    Ok(String::new())
}

pub(super) fn resume_url(state: &State, parameters: &Parameters) -> Result<String, String> {
    let asked = parameters.get("kind").map_or("", String::as_str);
    let kind = ResumeUrl::ALL.into_iter().find(|kind| kind.name() == asked);
    let names = ResumeUrl::ALL.map(ResumeUrl::name).join(", ");
    state.set_resume_url(kind.ok_or_else(|| format!("invalid kind: one of {names}"))?);
    Ok(String::new())
}

pub(super) fn expire(state: &State, _: &Parameters) -> Result<String, String> {
    state.account().expire_temporary();
    Ok(String::new())
}

pub(super) fn advance(state: &State, parameters: &Parameters) -> Result<String, String> {
    state.clock.advance(seconds(parameters)?);
    Ok(String::new())
}

/// Maximum step of the clock: ten years.
const LONGEST: u64 = 10 * 366 * 24 * 3600;

fn seconds(parameters: &Parameters) -> Result<Duration, String> {
    let seconds = parameters.get("seconds").and_then(|text| text.parse().ok());
    let seconds = seconds.filter(|seconds| *seconds <= LONGEST);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("invalid seconds: expected a whole number up to {LONGEST}"))
}

/// Maximum instances when a script adds one.
const MOST_INSTANCES: usize = 1_000;

pub(super) fn instance(state: &State, parameters: &Parameters) -> Result<String, String> {
    let id = parameters
        .get("id")
        .filter(|id| id.starts_with("i-") || id.starts_with("mi-"))
        .ok_or("invalid id: expected an instance id such as i-0123456789abcdef0")?;
    let mut account = state.account();
    let known = account.instances.get(id).cloned();
    if known.is_none() && account.instances.len() >= MOST_INSTANCES {
        return Err(format!(
            "the sandbox has its maximum of {MOST_INSTANCES} instances"
        ));
    }
    let mut instance = known.unwrap_or_else(|| Instance::new(id));
    for (name, value) in parameters.iter().filter(|(name, _)| *name != "id") {
        let truth = || match value.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("invalid {name}: expected true or false")),
        };
        instance = match name.as_str() {
            "online" => instance.online(truth()?),
            "connected" => instance.connected(truth()?),
            "stopped" => instance.stopped(truth()?),
            "agent-version" => instance.agent_version(value),
            "destination" => {
                let address = value.parse();
                let address =
                    address.map_err(|_| "invalid destination: expected ADDRESS:PORT".to_owned())?;
                instance.destination(address)
            }
            _ => instance.name(value),
        };
    }
    account.instances.insert(id.clone(), instance);
    Ok(String::new())
}

/// The session that the parameters name, which must be running; `None` means all.
fn chosen<'a>(state: &State, parameters: &'a Parameters) -> Result<Option<&'a str>, String> {
    let Some(id) = parameters.get("session") else {
        return Ok(None);
    };
    let account = state.account();
    match account.sessions.get(id) {
        Some(session) if !session.is_over() => Ok(Some(id)),
        Some(_) => Err(format!("session {id} has ended")),
        None => Err(format!("no such session: {id}")),
    }
}

pub(super) fn tell(
    state: &State,
    parameters: &Parameters,
    command: impl Fn() -> Command,
) -> Result<String, String> {
    state.tell(chosen(state, parameters)?, command);
    Ok(String::new())
}

pub(super) fn forget(state: &State, parameters: &Parameters) -> Result<String, String> {
    state.forget(chosen(state, parameters)?);
    Ok(String::new())
}

pub(super) fn terminate(state: &State, parameters: &Parameters) -> Result<String, String> {
    state.terminate(chosen(state, parameters)?);
    Ok(String::new())
}
