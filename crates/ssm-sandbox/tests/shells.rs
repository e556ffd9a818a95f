//! Shell and command sessions: they start, and end as those of an account without a shell.

mod support;

use serde_json::{Value, json};
use ssm_protocol::payload::{HandshakeRequest, HandshakeResponse};
use ssm_protocol::wire::PayloadType;
use ssm_sandbox::Instance;
use support::{Channel, Received, TARGET, sandbox, ssm, start};

const NO_LOGIN: &str = "This account is currently not available.\r\n";
const NOT_STARTED: &str = "Unable to start command: this instance has no shell";

fn output(number: i64, text: &'static str) -> Received {
    Received::Data {
        number,
        kind: PayloadType::Output,
        payload: text.into(),
    }
}

#[tokio::test]
async fn shells_begin_with_output_and_no_handshake() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let command = json!({ "command": ["top"] });
    for (document, parameters) in [
        (None, json!({})),
        (Some("SSM-SessionManagerRunShell"), json!({})),
        (Some("AWS-StartInteractiveCommand"), command),
    ] {
        let session = start(&sandbox, document, parameters).await;
        let opened = Channel::open(&sandbox, &session.url, &session.token).await;
        let mut channel = opened.expect("opens");
        channel
            .send(PayloadType::Size, r#"{"cols":80,"rows":24}"#)
            .await;
        assert_eq!(channel.next().await, output(0, NO_LOGIN), "{document:?}");
        let end = Received::Closed(NOT_STARTED.to_owned());
        assert_eq!(channel.next().await, end, "{document:?}");
    }
}

#[tokio::test]
async fn non_interactive_commands_begin_with_a_handshake() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let document = Some("AWS-StartNonInteractiveCommand");
    let session = start(&sandbox, document, json!({ "command": ["uptime"] })).await;
    let opened = Channel::open(&sandbox, &session.url, &session.token).await;
    let mut channel = opened.expect("opens");
    let Received::Data {
        number: 0,
        kind,
        payload,
    } = channel.next().await
    else {
        panic!("no first message");
    };
    assert_eq!(kind, PayloadType::HandshakeRequest);
    let request: HandshakeRequest = serde_json::from_slice(&payload).expect("a request");
    let action = &request.requested_client_actions[0].action_parameters;
    assert_eq!(action["SessionType"], "NonInteractiveCommands");
    assert_eq!(action["Properties"], Value::Null);
    let response = HandshakeResponse {
        client_version: "1.2.764.0".to_owned(),
        ..HandshakeResponse::default()
    };
    let response = serde_json::to_vec(&response).expect("plain data");
    channel.send(PayloadType::HandshakeResponse, response).await;
    let Received::Data {
        number: 1,
        kind: PayloadType::HandshakeComplete,
        ..
    } = channel.next().await
    else {
        panic!("no HandshakeComplete");
    };
    let text = "Unable to start command: this instance has no shell\n";
    assert_eq!(channel.next().await, output(2, text));
    assert_eq!(
        channel.next().await,
        Received::Closed(NOT_STARTED.to_owned())
    );
}

#[tokio::test]
async fn an_empty_command_is_refused_by_the_agent() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    let document = Some("AWS-StartInteractiveCommand");
    let session = start(&sandbox, document, json!({ "command": [" "] })).await;
    let opened = Channel::open(&sandbox, &session.url, &session.token).await;
    let end = opened.expect("opens").next().await;
    let text = "Commands cannot be empty for session type InteractiveCommands";
    assert_eq!(end, Received::Closed(text.to_owned()));
}

#[tokio::test]
async fn shell_documents_have_their_parameters_checked() {
    let sandbox = sandbox(Instance::new(TARGET)).await;
    for (document, parameters) in [
        ("SSM-SessionManagerRunShell", json!({ "command": ["ls"] })),
        ("AWS-StartInteractiveCommand", json!({})),
        (
            "AWS-StartNonInteractiveCommand",
            json!({ "portNumber": ["22"] }),
        ),
    ] {
        let request = json!({
            "Target": TARGET, "DocumentName": document, "Parameters": parameters,
        });
        let (status, answer) = ssm(&sandbox, "StartSession", request).await;
        assert_eq!(
            (status, &answer["__type"]),
            (400, &"InvalidParameters".into()),
            "{document}"
        );
    }
}
