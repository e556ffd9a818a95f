//! Every argument, right and wrong.

use super::*;

const ANSWER: &str = r#"{"SessionId": "jo-0a1", "TokenValue": "MARKER", "StreamUrl": "wss://h/"}"#;

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
