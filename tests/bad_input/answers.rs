//! Answers of Systems Manager that cannot be used, and what a tunnel makes of them.

use aws_config::retry::RetryConfig;
use e2e::http::answering;
use e2e::{TARGET, config_without_sandbox, echo, instance, open, sandbox, soon, tunnel};
use ssm_sandbox::ApiFault;
use ssm_tunnel::{Error, ServiceError, Tunnel};

fn http(status: &str, content: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn json(status: &str, body: &str) -> String {
    http(status, "application/x-amz-json-1.1", body)
}

/// The error of a tunnel whose StartSession gets this answer.
async fn start_answered(answer: String) -> Error {
    let config = config_without_sandbox(format!("http://{}", answering(answer).await));
    let config = config
        .into_builder()
        .retry_config(RetryConfig::disabled())
        .build();
    let builder = Tunnel::builder(TARGET).remote_port(22).sdk_config(&config);
    match soon("the answer", builder.open()).await {
        Err(error) => error,
        Ok(tunnel) => soon("the end", tunnel.closed())
            .await
            .expect_err("a session needs another answer"),
    }
}

fn is_unreadable(error: &Error) -> bool {
    matches!(error, Error::Service(error) if matches!(**error, ServiceError::Unreadable { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_start_session_answer_is_rejected() {
    let url = "wss://ssmmessages.us-east-1.amazonaws.com/v1/data-channel/s";
    for body in [
        "{}".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        format!(r#"{{"SessionId":"s","StreamUrl":"{url}"}}"#),
        format!(r#"{{"SessionId":"s","StreamUrl":"{url}","TokenValue":""}}"#),
        format!(r#"{{"SessionId":"s","StreamUrl":"{url}","TokenValue":null}}"#),
        format!(r#"{{"SessionId":"","StreamUrl":"{url}","TokenValue":"MARKER"}}"#),
        format!(r#"{{"StreamUrl":"{url}","TokenValue":"MARKER"}}"#),
        r#"{"SessionId":"s","TokenValue":"MARKER"}"#.to_owned(),
        r#"{"SessionId":"s","TokenValue":"MARKER","StreamUrl":7}"#.to_owned(),
        r#"{"SessionId":"s","TokenValue":"MARKER","StreamUrl":"#.to_owned(),
    ] {
        let error = start_answered(json("200 OK", &body)).await;
        assert!(is_unreadable(&error), "{body}: {error}");
        assert!(
            !format!("{error} {error:?}").contains("MARKER"),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains("is not an answer of Systems Manager"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_answer_in_the_services_place_is_rejected() {
    let page = "<html><body>Sign in to the network</body></html>";
    for answer in [
        http("200 OK", "text/html", page),
        http("403 Forbidden", "text/html", page),
        http("407 Proxy Authentication Required", "text/html", page),
        http("502 Bad Gateway", "text/html", page),
        http("503 Service Unavailable", "text/plain", ""),
        json("200 OK", ""),
        json("400 Bad Request", "{}"),
        json("500 Internal Server Error", "{"),
        "220 smtp.example ESMTP\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{".to_owned(),
        String::new(),
    ] {
        let error = start_answered(answer.clone()).await;
        let Error::Service(service) = &error else {
            panic!("{answer}: {error}")
        };
        let text = error.to_string();
        match **service {
            ServiceError::Unreadable { .. } => {
                assert!(text.contains("check the endpoint"), "{text}")
            }
            // Not HTTP, or half of it.
            ServiceError::Network { .. } if !answer.contains("connection: close") => {
                assert!(text.contains("check the network"), "{text}");
            }
            _ => panic!("{answer}: {text}"),
        }
        assert!(!text.contains("<html>"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_errors_keep_their_text_and_name_a_remedy() {
    for (code, expected) in [
        ("AccessDeniedException", "StartSession was denied: WORDS"),
        ("TargetNotConnected", "is not connected to Systems Manager"),
        (
            "InvalidDocument",
            "cannot be used: WORDS; check its name and the region",
        ),
        (
            "ValidationException",
            "StartSession does not take these parameters: WORDS",
        ),
        (
            "ExpiredTokenException",
            "the credentials have expired (StartSession): log in again",
        ),
        (
            "UnrecognizedClientException",
            "AWS does not accept the credentials (StartSession): WORDS",
        ),
        (
            "ThrottlingException",
            "StartSession was throttled: try again in a while",
        ),
        (
            "InternalServerError",
            "StartSession failed with InternalServerError: WORDS",
        ),
        (
            "SomethingNew",
            "StartSession failed with SomethingNew: WORDS",
        ),
    ] {
        let body = format!(r#"{{"__type":"com.amazonaws.ssm#{code}","message":"WORDS"}}"#);
        let error = start_answered(json("400 Bad Request", &body)).await;
        assert!(error.to_string().contains(expected), "{code}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_stream_url_is_never_connected_to() {
    for (url, expected) in [
        ("nonsense", "is not a websocket URL"),
        ("", "is not a websocket URL"),
        (
            "https://ssmmessages.us-east-1.amazonaws.com/x",
            "wss is required",
        ),
        (
            "ws://ssmmessages.us-east-1.amazonaws.com/x",
            "wss is required",
        ),
        (
            "wss://evil.example/x?token=MARKER",
            "is not a Session Manager endpoint",
        ),
    ] {
        let body = format!(r#"{{"SessionId":"s","StreamUrl":"{url}","TokenValue":"t"}}"#);
        let error = start_answered(json("200 OK", &body)).await;
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!error.to_string().contains("MARKER"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_resume_session_answer_is_retried() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    let stream = soon("connecting", tunnel.connect()).await.expect("opens");
    sandbox.fail_next("ResumeSession", ApiFault::MalformedBody);
    sandbox.fail_next("ResumeSession", ApiFault::DropAfterHandling);
    sandbox.cut_websockets();
    e2e::echoed(stream, 3, 5000).await;
    assert!(sandbox.request_count("ResumeSession") >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_terminate_session_still_closes_the_tunnel() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    sandbox.fail_next(
        "TerminateSession",
        ApiFault::Refuse {
            code: "AccessDeniedException".to_owned(),
            message: "no".to_owned(),
        },
    );
    soon("the end", tunnel.close()).await.expect("it closes");
}
