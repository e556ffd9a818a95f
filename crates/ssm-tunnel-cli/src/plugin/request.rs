//! The plugin's command line: the session that was started, and what its caller asked for.
//!
//! Source: `aws/session-manager-plugin` `src/sessionmanagerplugin/session/session.go` @61cf1288;
//! `awscli/customizations/sessionmanager.py` and `ecs/executecommand.py` of the AWS CLI 1.46 and 2.

use std::env::VarError;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use ssm_tunnel::StartedSession;
use zeroize::Zeroizing;

use crate::tunnels::LocalSide;

/// What the names of the environment variable begin with in the AWS CLI.
const RESPONSE: &str = "AWS_SSM_START_SESSION_RESPONSE";
/// The operation that the AWS CLI names, for Systems Manager and for ECS.
const START_SESSION: &str = "StartSession";

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// No arguments: `aws ecs execute-command` checks so that the plugin is installed.
    Installed,
    /// `--version`.
    Version,
    /// Too few arguments for a session; this is the first.
    Unknown(String),
    /// Another operation than `StartSession`.
    InvalidOperation,
    /// A session to carry.
    Start(Box<Request>),
}

/// A session that was started, and everything that the caller said about it.
#[derive(Debug)]
pub struct Request {
    /// StartSession's answer.
    pub session: StartedSession,
    /// Region of the session.
    pub region: Option<String>,
    /// Profile that the caller named.
    pub profile: Option<String>,
    /// Endpoint of Systems Manager.
    pub endpoint: Option<String>,
    /// What StartSession was asked for. Where that cannot be read the session is still to be ended.
    pub asked: anyhow::Result<Asked>,
}

/// The parameters of the caller's StartSession call, as far as they concern this machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// The session document; none stands for a shell, or is not known.
    pub document: Option<String>,
    /// Where local programs connect.
    pub local: LocalSide,
}

impl Invocation {
    /// Reads the arguments, the program's own name first. `variable` reads the environment.
    ///
    /// # Errors
    /// Names the argument that cannot be used, and repeats no secret of it.
    pub fn read(
        arguments: &[String],
        variable: impl Fn(&str) -> Result<String, VarError>,
    ) -> anyhow::Result<Self> {
        match arguments {
            [] | [_] => return Ok(Self::Installed),
            [_, option] if option == "--version" => return Ok(Self::Version),
            [_, first] | [_, first, _] => return Ok(Self::Unknown(first.clone())),
            [_, _, _, operation, ..] if operation.as_str() != START_SESSION => {
                return Ok(Self::InvalidOperation);
            }
            _ => {}
        }
        let argument = |at: usize| arguments.get(at).filter(|text| !text.is_empty());
        let session = session(argument(1).map_or("", String::as_str), variable)?;
        let parameters = Parameters::read(argument(5).map_or("", String::as_str))
            .context("the request's parameters (argument 5) cannot be used");
        let to_task = matches!(&parameters, Ok(it) if it.is_for_task());
        let endpoint = argument(6).filter(|url| !(to_task && is_of_ecs(url)));
        Ok(Self::Start(Box::new(Request {
            session,
            region: argument(2).cloned(),
            profile: argument(4).cloned(),
            endpoint: endpoint.cloned(),
            asked: parameters.map(|parameters| parameters.asked),
        })))
    }
}

/// The answer itself, or what the environment variable of that name holds.
fn session(
    text: &str,
    variable: impl Fn(&str) -> Result<String, VarError>,
) -> anyhow::Result<StartedSession> {
    let is_name = |text: &str| {
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(letter)
    };
    if !is_name(text) {
        return Ok(StartedSession::from_json(text)?);
    }
    // Only a name of the AWS CLI's kind is repeated: anything else may be a misplaced secret.
    let shown = match text.starts_with(RESPONSE) {
        true => text,
        false => "that argument 1 names",
    };
    match variable(text) {
        Ok(answer) => Ok(StartedSession::from_json(&Zeroizing::new(answer))?),
        Err(VarError::NotPresent) => bail!(
            "the environment variable {shown} is not set: it holds StartSession's answer, or argument 1 is that answer"
        ),
        Err(VarError::NotUnicode(_)) => bail!("the environment variable {shown} is not UTF-8"),
    }
}

struct Parameters {
    target: Option<String>,
    asked: Asked,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    target: Value,
    document_name: Value,
    parameters: Value,
}

impl Parameters {
    /// Old versions of the AWS CLI do not pass the request on; it may be empty.
    fn read(text: &str) -> anyhow::Result<Self> {
        let body = match text.trim() {
            "" => Body::default(),
            text => serde_json::from_str::<Map<String, Value>>(text)
                .and_then(|map| serde_json::from_value(Value::Object(map)))
                .map_err(|error| {
                    let (line, column) = (error.line(), error.column());
                    anyhow!("they are not a JSON object (line {line}, column {column})")
                })?,
        };
        let parameters = match body.parameters {
            Value::Null => Map::new(),
            Value::Object(map) => map,
            _ => bail!("Parameters is not an object of lists"),
        };
        Ok(Self {
            target: text_of("Target", &body.target)?,
            asked: Asked {
                document: text_of("DocumentName", &body.document_name)?,
                local: local_side(&parameters)?,
            },
        })
    }

    fn is_for_task(&self) -> bool {
        self.target
            .as_ref()
            .is_some_and(|target| target.starts_with("ecs:"))
    }
}

/// Where the caller asked to listen. A parameter of another name, or a default of the document,
/// does not count: only the agent's handshake has those, and the agent is not asked.
fn local_side(parameters: &Map<String, Value>) -> anyhow::Result<LocalSide> {
    let value = |name: &str| match parameters.get(name) {
        Some(value) => text_of(name, value),
        None => Ok(None),
    };
    if value("localConnectionType")?.as_deref() == Some("unix") {
        let path = value("localUnixSocket")?
            .context("localConnectionType is unix, and localUnixSocket names no path")?;
        return Ok(LocalSide::Socket(PathBuf::from(path)));
    }
    let Some(port) = value("localPortNumber")? else {
        return Ok(LocalSide::port(0));
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits).with_context(|| {
        format!("localPortNumber {port:?} is not a port: give 0 to 65535, 0 for a free one")
    })?;
    Ok(LocalSide::port(port))
}

/// A value as the AWS CLI passes it on, text or a list of one; none when it is empty.
fn text_of(name: &str, value: &Value) -> anyhow::Result<Option<String>> {
    let wrong = |what: &str| anyhow!("{name} is {what}: one text is expected");
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(list) => match list.as_slice() {
            [] => return Ok(None),
            [one @ (Value::String(_) | Value::Number(_))] => return text_of(name, one),
            [_] => return Err(wrong("a list of something else")),
            more => return Err(wrong(&format!("a list of {}", more.len()))),
        },
        Value::Bool(_) => return Err(wrong("true or false")),
        Value::Object(_) => return Err(wrong("an object")),
    };
    ensure!(
        !text.contains('\0'),
        "{name} contains a NUL character, which no name has"
    );
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// `aws ecs execute-command` passes on the endpoint that it called itself, which does not know
/// sessions.
fn is_of_ecs(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', ':', '?']).next().unwrap_or_default();
    host.split('.')
        .any(|label| matches!(label, "ecs" | "ecs-fips"))
}

#[cfg(test)]
mod tests;
