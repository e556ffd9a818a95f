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

use crate::forward::LocalSide;

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
mod tests {
    use super::*;

    const ANSWER: &str =
        r#"{"SessionId": "jo-0a1", "TokenValue": "MARKER", "StreamUrl": "wss://h/"}"#;

    fn variable(name: &str) -> Result<String, VarError> {
        match name {
            "AWS_SSM_START_SESSION_RESPONSE" | "AWS_SSM_START_SESSION_RESPONSE_1f" | "OTHER" => {
                Ok(ANSWER.to_owned())
            }
            "AWS_SSM_START_SESSION_RESPONSE_BAD" => Ok("MARKER".to_owned()),
            _ => Err(VarError::NotPresent),
        }
    }

    fn read(arguments: &[&str]) -> anyhow::Result<Invocation> {
        let mut all = vec!["session-manager-plugin".to_owned()];
        all.extend(arguments.iter().map(|text| (*text).to_owned()));
        Invocation::read(&all, variable)
    }

    fn started(arguments: &[&str]) -> Request {
        match read(arguments) {
            Ok(Invocation::Start(request)) => *request,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    fn asked(request: &str) -> anyhow::Result<Asked> {
        let arguments = [ANSWER, "us-east-1", "StartSession", "", request, ""];
        match read(&arguments)? {
            Invocation::Start(request) => request.asked,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_form_of_the_command_line_is_told_apart() {
        assert!(matches!(read(&[]), Ok(Invocation::Installed)));
        assert!(matches!(read(&["--version"]), Ok(Invocation::Version)));
        for few in [&["help"][..], &["{}", "us-east-1"], &["--version", "x"]] {
            assert!(matches!(read(few), Ok(Invocation::Unknown(first)) if first == few[0]));
        }
        // What else is wrong does not matter then, as in the reference plugin.
        assert!(matches!(
            read(&["MARKER", "us-east-1", "ResumeSession"]),
            Ok(Invocation::InvalidOperation)
        ));
    }

    #[test]
    fn the_session_comes_from_the_argument_or_a_variable() {
        for first in [
            ANSWER,
            "AWS_SSM_START_SESSION_RESPONSE",
            "AWS_SSM_START_SESSION_RESPONSE_1f",
            "OTHER",
        ] {
            let request = started(&[first, "us-east-1", "StartSession"]);
            assert_eq!(request.session.session_id(), "jo-0a1", "{first}");
            assert_eq!(request.region.as_deref(), Some("us-east-1"));
            assert_eq!(request.profile, None);
            assert_eq!(request.endpoint, None);
        }
        for (first, named) in [
            ("", "StartSession's answer"),
            ("not JSON", "StartSession's answer"),
            ("MARKER", "argument 1"),
            ("AWS_SSM_START_SESSION_RESPONSE_NONE", "RESPONSE_NONE"),
            (
                "AWS_SSM_START_SESSION_RESPONSE_BAD",
                "StartSession's answer",
            ),
            (
                "AWS_SSM_START_SESSION_RESPONSE=MARKER",
                "StartSession's answer",
            ),
        ] {
            let error = read(&[first, "us-east-1", "StartSession"]).expect_err("refused");
            let text = format!("{error:#}");
            assert!(text.contains(named), "{first}: {text}");
            assert!(!format!("{error:?}").contains("MARKER"), "{first}: {text}");
        }
    }

    #[test]
    fn empty_arguments_are_missing_ones() {
        let request = started(&[ANSWER, "", "StartSession", "", "", ""]);
        assert_eq!(request.region, None);
        assert_eq!(request.profile, None);
        assert_eq!(request.endpoint, None);
        let asked = request.asked.expect("readable");
        assert_eq!(asked.document, None);
        assert_eq!(asked.local, LocalSide::port(0));
        let more = [ANSWER, "r", "StartSession", "p", "{}", "https://e", "x"];
        let request = started(&more);
        assert_eq!(request.profile.as_deref(), Some("p"));
        assert_eq!(request.endpoint.as_deref(), Some("https://e"));
    }

    #[test]
    fn the_caller_says_where_to_listen() {
        let local = |parameters: &str| {
            let request = format!(
                r#"{{"Target": "i-1", "DocumentName": "AWS-StartPortForwardingSession", "Parameters": {parameters}}}"#
            );
            asked(&request).map(|asked| asked.local)
        };
        let port = |parameters| local(parameters).expect("readable");
        assert_eq!(
            port(r#"{"localPortNumber": ["8080"]}"#),
            LocalSide::port(8080)
        );
        assert_eq!(
            port(r#"{"localPortNumber": "8080"}"#),
            LocalSide::port(8080)
        );
        assert_eq!(
            port(r#"{"localPortNumber": [8080]}"#),
            LocalSide::port(8080)
        );
        for none in [
            "{}",
            "null",
            r#"{"portNumber": ["22"]}"#,
            r#"{"localPortNumber": []}"#,
            r#"{"localPortNumber": [""]}"#,
            r#"{"localPortNumber": ["0"]}"#,
            r#"{"localConnectionType": ["tcp"], "localUnixSocket": ["/tmp/s"]}"#,
        ] {
            assert_eq!(port(none), LocalSide::port(0), "{none}");
        }
        assert_eq!(
            port(r#"{"localConnectionType": ["unix"], "localUnixSocket": ["/tmp/s"]}"#),
            LocalSide::Socket("/tmp/s".into())
        );
        for (wrong, named) in [
            (
                r#"{"localPortNumber": ["65536"]}"#,
                "localPortNumber \"65536\"",
            ),
            (r#"{"localPortNumber": ["+80"]}"#, "localPortNumber \"+80\""),
            (r#"{"localPortNumber": ["-1"]}"#, "localPortNumber \"-1\""),
            (
                r#"{"localPortNumber": ["http\u001b"]}"#,
                r#"localPortNumber "http\u{1b}""#,
            ),
            (r#"{"localPortNumber": [1.5]}"#, "localPortNumber \"1.5\""),
            (
                r#"{"localPortNumber": ["1", "2"]}"#,
                "localPortNumber is a list of 2",
            ),
            (
                r#"{"localPortNumber": {"a": 1}}"#,
                "localPortNumber is an object",
            ),
            (r#"{"localPortNumber": [[1]]}"#, "localPortNumber is a list"),
            (
                r#"{"localPortNumber": true}"#,
                "localPortNumber is true or false",
            ),
            (r#"{"localConnectionType": ["unix"]}"#, "localUnixSocket"),
            (
                r#"{"localConnectionType": ["unix"], "localUnixSocket": ["a\u0000b"]}"#,
                "localUnixSocket",
            ),
            (r#"["localPortNumber"]"#, "Parameters"),
        ] {
            let error = local(wrong).expect_err(wrong);
            let text = format!("{error:#}");
            assert!(
                text.contains("argument 5") && text.contains(named),
                "{text}"
            );
        }
    }

    #[test]
    fn request_parameters_that_are_no_object_are_refused() {
        let deep = "[".repeat(100_000);
        for wrong in [
            "x",
            "[]",
            "7",
            "\"{}\"",
            "{\"Target\": ",
            "{} {}",
            deep.as_str(),
        ] {
            let error = asked(wrong).expect_err("refused");
            let text = format!("{error:#}");
            assert!(text.contains("argument 5"), "{text}");
            assert!(text.len() < 200, "{text}");
        }
        assert!(asked(r#"{"Target": {"a": 1}}"#).is_err());
        assert!(asked(r#"{"DocumentName": ["a", "b"]}"#).is_err());
    }

    #[test]
    fn the_endpoint_of_ecs_is_not_systems_managers() {
        let endpoint = |target: &str, url: &str| {
            let request = format!(r#"{{"Target": "{target}"}}"#);
            started(&[ANSWER, "us-east-1", "StartSession", "", &request, url]).endpoint
        };
        let task = "ecs:cluster_task_container-1";
        for url in [
            "https://ecs.us-east-1.amazonaws.com",
            "https://ecs-fips.us-east-1.amazonaws.com/",
            "https://ecs.eu-west-1.api.aws:443",
            "https://vpce-0123-abcd.ecs.us-east-1.vpce.amazonaws.com",
        ] {
            assert_eq!(endpoint(task, url), None, "{url}");
            assert_eq!(endpoint("i-1", url).as_deref(), Some(url));
        }
        for url in [
            "https://ssm.us-east-1.amazonaws.com",
            "http://127.0.0.1:4566",
        ] {
            assert_eq!(endpoint(task, url).as_deref(), Some(url));
        }
    }
}
