//! The sandbox's own HTTP paths, for scripts: what a test in Rust does with [`Sandbox`]'s methods.
//!
//! [`Sandbox`]: crate::Sandbox

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use crate::account::instance::Instance;
use crate::account::session_control::Command;
use crate::services;
use crate::services::ssm::sessions;
use crate::state::State;
use crate::state::faults::{ApiFault, ResumeUrl};

const PREFIX: &str = "/sandbox/";

type Parameters = BTreeMap<String, String>;
type Run = fn(&State, &Parameters) -> Result<String, String>;

/// One of the sandbox's paths.
struct Path {
    method: Method,
    name: &'static str,
    parameters: &'static [&'static str],
    about: &'static str,
    run: Run,
}

static PATHS: [Path; 16] = [
    get("", &[], "this list", list),
    get(
        "code",
        &["serial"],
        "what an MFA device shows; without serial the first user's first",
        code,
    ),
    get(
        "requests",
        &[],
        "the requests so far, one JSON object a line",
        requests,
    ),
    get(
        "sessions",
        &[],
        "the sessions as DescribeSessions has them, one JSON object a line",
        list_sessions,
    ),
    post(
        "fault",
        &["action", "kind", "seconds", "code", "message"],
        "the next call of an action goes wrong: kind is error-after-handling, drop-after-handling, throttle, malformed-body, date-ahead (with seconds) or refuse (with code and message)",
        fault,
    ),
    post(
        "resume-url",
        &["kind"],
        "the StreamUrl of ResumeSession's answers: same, new-cell, empty or absent",
        resume_url,
    ),
    post("expire", &[], "every temporary credential expires", expire),
    post(
        "advance",
        &["seconds"],
        "the sandbox's clock goes forward",
        advance,
    ),
    post(
        "instance",
        &[
            "id",
            "online",
            "connected",
            "stopped",
            "name",
            "agent-version",
            "destination",
        ],
        "changes an instance, or adds it: online, connected and stopped are true or false, destination is ADDRESS:PORT",
        instance,
    ),
    post(
        "cut",
        &["session"],
        "drops the websockets without a close frame; all, or one session's",
        |state, parameters| tell(state, parameters, || Command::Cut),
    ),
    post(
        "close",
        &["session"],
        "closes the websockets with 1000 Bye, as the service does about every hour",
        |state, parameters| tell(state, parameters, || Command::Bye),
    ),
    post(
        "silence",
        &["session"],
        "stops reading and writing the websockets, until speak or a new one",
        |state, parameters| tell(state, parameters, || Command::Silent(true)),
    ),
    post(
        "speak",
        &["session"],
        "goes on where silence stopped",
        |state, parameters| tell(state, parameters, || Command::Silent(false)),
    ),
    post(
        "break-agent",
        &["session"],
        "breaks the agents' own websockets while they acknowledge the next data: agents from 3.0.655.0 on process it again",
        |state, parameters| tell(state, parameters, || Command::BreakAgent),
    ),
    post(
        "forget",
        &["session"],
        "ResumeSession returns no token any more",
        forget,
    ),
    post(
        "terminate",
        &["session"],
        "the service ends the sessions, as an administrator may",
        terminate,
    ),
];

const fn get(
    name: &'static str,
    parameters: &'static [&'static str],
    about: &'static str,
    run: Run,
) -> Path {
    Path {
        method: Method::GET,
        name,
        parameters,
        about,
        run,
    }
}

const fn post(
    name: &'static str,
    parameters: &'static [&'static str],
    about: &'static str,
    run: Run,
) -> Path {
    Path {
        method: Method::POST,
        name,
        parameters,
        about,
        run,
    }
}

/// Answers a path of the sandbox's own; `None` for any other.
pub(crate) fn answer(state: &State, head: &Parts) -> Option<(StatusCode, String)> {
    let name = match head.uri.path() {
        "/sandbox" => "",
        path => path.strip_prefix(PREFIX)?,
    };
    let (status, text) = match run(state, head, name) {
        Ok(body) => return Some((StatusCode::OK, body)),
        Err(refusal) => refusal,
    };
    Some((status, format!("{text}\n")))
}

fn run(state: &State, head: &Parts, name: &str) -> Result<String, (StatusCode, String)> {
    if !is_script(&head.headers) {
        let text = "the sandbox is steered by programs of this machine, not by web pages";
        return Err((StatusCode::FORBIDDEN, text.to_owned()));
    }
    let Some(path) = PATHS.iter().find(|path| path.name == name) else {
        let text = format!("the sandbox has no such path; it has\n{}", listing());
        return Err((StatusCode::NOT_FOUND, text));
    };
    if path.method != head.method {
        let text = format!("{PREFIX}{name} is for {}", path.method);
        return Err((StatusCode::METHOD_NOT_ALLOWED, text));
    }
    let query = head.uri.query().unwrap_or_default();
    let parameters: Parameters = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let known = |name: &&String| path.parameters.contains(&name.as_str());
    let outcome = match parameters.keys().find(|name| !known(name)) {
        Some(odd) => Err(match path.parameters {
            [] => format!("{PREFIX}{name} has no parameters"),
            known => format!(
                "{PREFIX}{name} has no parameter {odd}, only {}",
                known.join(", ")
            ),
        }),
        None => (path.run)(state, &parameters),
    };
    outcome.map_err(|text| (StatusCode::BAD_REQUEST, text))
}

/// Not a web page's: browsers name its origin, and the host that a page was loaded from, which is not
/// loopback's when a name server was made to lie about it.
fn is_script(headers: &HeaderMap) -> bool {
    let host = headers.get(http::header::HOST);
    let host = host.map_or(Some("localhost"), |host| host.to_str().ok());
    let name = host.and_then(|host| {
        let authority: http::uri::Authority = host.parse().ok()?;
        Some(authority.host().trim_matches(['[', ']']).to_owned())
    });
    let is_loopback = name.is_some_and(|name| {
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    });
    is_loopback && !headers.contains_key(http::header::ORIGIN)
}

fn listing() -> String {
    let lines = PATHS.iter().map(|path| {
        let parameters: Vec<_> = path
            .parameters
            .iter()
            .map(|name| format!("{name}=…"))
            .collect();
        let query = match parameters.as_slice() {
            [] => String::new(),
            some => format!("?{}", some.join("&")),
        };
        let Path {
            method,
            name,
            about,
            ..
        } = path;
        format!("{method:4} {PREFIX}{name}{query}\n     {about}\n")
    });
    lines.collect()
}

fn list(_: &State, _: &Parameters) -> Result<String, String> {
    Ok(listing())
}

/// What a device shows: `serial`, or the first user's first device.
fn code(state: &State, parameters: &Parameters) -> Result<String, String> {
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
fn requests(state: &State, _: &Parameters) -> Result<String, String> {
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

/// One JSON object a line, the oldest first.
fn list_sessions(state: &State, _: &Parameters) -> Result<String, String> {
    let account = state.account();
    let mut all: Vec<_> = account.sessions.iter().collect();
    all.sort_by_key(|(_, session)| session.number);
    let lines = all
        .into_iter()
        .map(|(id, session)| format!("{}\n", sessions::describe(id, session)));
    Ok(lines.collect())
}

/// The next call of `action` goes wrong as `kind` says.
fn fault(state: &State, parameters: &Parameters) -> Result<String, String> {
    let known = || services::actions().collect::<Vec<_>>().join(", ");
    let action = parameters
        .get("action")
        .ok_or_else(|| format!("an action is missing, one of {}", known()))?;
    if !services::actions().any(|known| known == action) {
        return Err(format!(
            "the sandbox has no action {action}; it has {}",
            known()
        ));
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
                "kind is one of error-after-handling, drop-after-handling, throttle, \
                 malformed-body, date-ahead (with seconds), refuse (with code and message)"
                    .to_owned(),
            );
        }
    };
    if !state.add_fault(action, fault) {
        return Err("too many faults wait for their calls".to_owned());
    }
    Ok(String::new())
}

fn resume_url(state: &State, parameters: &Parameters) -> Result<String, String> {
    let asked = parameters.get("kind").map_or("", String::as_str);
    let kind = ResumeUrl::ALL.into_iter().find(|kind| kind.name() == asked);
    let names = ResumeUrl::ALL.map(ResumeUrl::name).join(", ");
    state.set_resume_url(kind.ok_or_else(|| format!("kind is one of {names}"))?);
    Ok(String::new())
}

fn expire(state: &State, _: &Parameters) -> Result<String, String> {
    state.account().expire_temporary();
    Ok(String::new())
}

fn advance(state: &State, parameters: &Parameters) -> Result<String, String> {
    state.clock.advance(seconds(parameters)?);
    Ok(String::new())
}

/// The longest step of the clock: ten years.
const LONGEST: u64 = 10 * 366 * 24 * 3600;

fn seconds(parameters: &Parameters) -> Result<Duration, String> {
    let seconds = parameters.get("seconds").and_then(|text| text.parse().ok());
    let seconds = seconds.filter(|seconds| *seconds <= LONGEST);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("seconds is not a number up to {LONGEST}"))
}

/// Instances that scripts may add.
const MOST_INSTANCES: usize = 1_000;

fn instance(state: &State, parameters: &Parameters) -> Result<String, String> {
    let id = parameters
        .get("id")
        .filter(|id| id.starts_with("i-") || id.starts_with("mi-"))
        .ok_or("id is an instance's, such as i-0123456789abcdef0")?;
    let mut account = state.account();
    let known = account.instances.get(id).cloned();
    if known.is_none() && account.instances.len() >= MOST_INSTANCES {
        return Err(format!(
            "the sandbox has {MOST_INSTANCES} instances already"
        ));
    }
    let mut instance = known.unwrap_or_else(|| Instance::new(id));
    for (name, value) in parameters.iter().filter(|(name, _)| *name != "id") {
        let truth = || match value.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("{name} is true or false")),
        };
        instance = match name.as_str() {
            "online" => instance.online(truth()?),
            "connected" => instance.connected(truth()?),
            "stopped" => instance.stopped(truth()?),
            "agent-version" => instance.agent_version(value),
            "destination" => {
                let address = value.parse();
                let address = address.map_err(|_| "destination is ADDRESS:PORT".to_owned())?;
                instance.destination(address)
            }
            _ => instance.name(value),
        };
    }
    account.instances.insert(id.clone(), instance);
    Ok(String::new())
}

/// The session that was named, which must be there; `None` means all.
fn chosen<'a>(state: &State, parameters: &'a Parameters) -> Result<Option<&'a str>, String> {
    let Some(id) = parameters.get("session") else {
        return Ok(None);
    };
    let account = state.account();
    match account.sessions.get(id) {
        Some(session) if !session.is_over() => Ok(Some(id)),
        Some(_) => Err(format!("the session {id} is over")),
        None => Err(format!("there is no session {id}")),
    }
}

fn tell(
    state: &State,
    parameters: &Parameters,
    command: impl Fn() -> Command,
) -> Result<String, String> {
    for control in state.controls(chosen(state, parameters)?) {
        control.send(command());
    }
    Ok(String::new())
}

fn forget(state: &State, parameters: &Parameters) -> Result<String, String> {
    let only = chosen(state, parameters)?;
    for (id, session) in &mut state.account().sessions {
        session.forgotten |= only.is_none_or(|only| only == id);
    }
    Ok(String::new())
}

fn terminate(state: &State, parameters: &Parameters) -> Result<String, String> {
    state.terminate(chosen(state, parameters)?);
    Ok(String::new())
}
