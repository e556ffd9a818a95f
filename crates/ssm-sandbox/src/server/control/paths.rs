//! The paths, their parameters, and the help that lists them.

use http::Method;

use super::handlers::{
    Parameters, advance, code, expire, fault, forget, instance, list_sessions, requests,
    resume_url, tell, terminate,
};
use crate::account::session_control::Command;
use crate::state::State;

type Run = fn(&State, &Parameters) -> Result<String, String>;
type Names = &'static [&'static str];

pub(super) const PREFIX: &str = "/sandbox/";

/// One of the sandbox's paths.
pub(super) struct Path {
    pub(super) method: Method,
    pub(super) name: &'static str,
    pub(super) parameters: Names,
    pub(super) about: &'static str,
    pub(super) run: Run,
}

pub(super) static PATHS: [Path; 16] = [
    get("", &[], "this list", list),
    get(
        "code",
        &["serial"],
        "the current code of an MFA device; by default the first user's first",
        code,
    ),
    get(
        "requests",
        &[],
        "the requests so far, one JSON object per line",
        requests,
    ),
    get(
        "sessions",
        &[],
        "the sessions as DescribeSessions lists them, one JSON object per line",
        list_sessions,
    ),
    post(
        "fault",
        &["action", "kind", "seconds", "code", "message"],
        "makes the next call of an action fail; kind is error-after-handling, drop-after-handling, throttle, malformed-body, date-ahead (with seconds) or refuse (with code and message)",
        fault,
    ),
    post(
        "resume-url",
        &["kind"],
        "the StreamUrl in ResumeSession's response: same, new-cell, empty or absent",
        resume_url,
    ),
    post("expire", &[], "expires every temporary credential", expire),
    post(
        "advance",
        &["seconds"],
        "advances the sandbox's clock",
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
        "changes or adds an instance: online, connected and stopped are true or false, destination is ADDRESS:PORT",
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
        "stops reading and writing the websockets, until speak or a reconnection",
        |state, parameters| tell(state, parameters, || Command::Silent(true)),
    ),
    post(
        "speak",
        &["session"],
        "resumes reading and writing after silence",
        |state, parameters| tell(state, parameters, || Command::Silent(false)),
    ),
    post(
        "break-agent",
        &["session"],
        "breaks the agents' own websockets while they acknowledge the next data, which agents from 3.0.655.0 on then process twice",
        |state, parameters| tell(state, parameters, || Command::BreakAgent),
    ),
    post(
        "forget",
        &["session"],
        "makes ResumeSession return no token",
        forget,
    ),
    post(
        "terminate",
        &["session"],
        "terminates the sessions, as an administrator can",
        terminate,
    ),
];

const fn get(name: &'static str, parameters: Names, about: &'static str, run: Run) -> Path {
    path(Method::GET, name, parameters, about, run)
}

const fn post(name: &'static str, parameters: Names, about: &'static str, run: Run) -> Path {
    path(Method::POST, name, parameters, about, run)
}

const fn path(
    method: Method,
    name: &'static str,
    parameters: Names,
    about: &'static str,
    run: Run,
) -> Path {
    Path {
        method,
        name,
        parameters,
        about,
        run,
    }
}

pub(super) fn listing() -> String {
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
