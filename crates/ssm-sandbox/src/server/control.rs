//! The sandbox's own HTTP paths, which give scripts what [`Sandbox`]'s methods give tests in Rust.
//!
//! [`Sandbox`]: crate::Sandbox

mod handlers;
mod paths;

use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderMap, StatusCode};

use crate::state::State;
use handlers::Parameters;
use paths::{PATHS, PREFIX, listing};

/// Handles the sandbox's own paths; `None` for any other.
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
        let text = "the sandbox is controlled by programs on this machine, not by web pages";
        return Err((StatusCode::FORBIDDEN, text.to_owned()));
    }
    let Some(path) = PATHS.iter().find(|path| path.name == name) else {
        let text = format!("no such path; the sandbox has\n{}", listing());
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

/// Whether a request comes from a program, not a web page: browsers send a page's origin, and the host
/// that it was loaded from, which is not loopback's under DNS rebinding.
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
