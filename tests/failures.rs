//! Failures and their reports: each a typed error with a next step.

use std::time::Duration;

use aws_credential_types::Credentials;
use e2e::{
    TARGET, config, config_with, config_with_mfa, echo, echoed, instance, open, sandbox,
    sandbox_with_mfa, soon, tunnel,
};
use ssm_sandbox::{ApiFault, Instance};
use ssm_tunnel::{EndKind, Error, ErrorKind, Limits, ServiceError, Tunnel};
use tokio::io::AsyncReadExt as _;

/// The error of a tunnel that cannot be opened.
async fn refused(builder: ssm_tunnel::TunnelBuilder) -> Error {
    soon("the refusal", builder.open())
        .await
        .expect_err("cannot be opened")
}

fn service(error: &Error) -> &ServiceError {
    match error {
        Error::Service(error) => error,
        other => panic!("not an answer of the service: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconnected_target_error_names_what_to_check() {
    let offline = Instance::new("i-0aaaaaaaaaaaaaaaa").online(false);
    let sandbox = sandbox(offline).await;
    for target in ["i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"] {
        let builder = Tunnel::builder(target)
            .remote_port(3389)
            .sdk_config(&config(&sandbox));
        let error = refused(builder).await;
        assert!(
            matches!(service(&error), ServiceError::TargetNotConnected { .. }),
            "{error}"
        );
        let text = error.to_string();
        for word in [
            target,
            "SSM agent",
            "instance profile",
            "ssmmessages",
            "region",
        ] {
            assert!(text.contains(word), "{text} does not name {word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_keeps_the_services_text_and_suggests_mfa() {
    let sandbox = sandbox_with_mfa(instance(echo().await)).await;
    let error = refused(tunnel(&sandbox)).await;
    let ServiceError::AccessDenied {
        message,
        request_id,
        ..
    } = service(&error)
    else {
        panic!("{error}");
    };
    assert!(
        message.contains("ssm:StartSession on resource: arn:aws:ec2:"),
        "{message}"
    );
    assert!(
        message.ends_with("with an explicit deny in an identity-based policy"),
        "{message}"
    );
    assert!(request_id.is_some());
    assert!(
        error.to_string().contains("MFA session may be missing"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_mfa_session_says_to_log_in_again() {
    let sandbox = sandbox_with_mfa(instance(echo().await)).await;
    let config = config_with_mfa(&sandbox).await;
    sandbox.expire_sessions();
    let error = refused(Tunnel::builder(TARGET).remote_port(1).sdk_config(&config)).await;
    assert!(
        matches!(service(&error), ServiceError::ExpiredToken { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("log in again"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_say_to_check_the_keys() {
    let sandbox = sandbox(instance(echo().await)).await;
    let wrong = [
        Credentials::new(
            "AKIAUNKNOWN",
            sandbox.secret_access_key(),
            None,
            None,
            "test",
        ),
        Credentials::new(sandbox.access_key_id(), "wrong", None, None, "test"),
    ];
    for credentials in wrong {
        let config = config_with(&sandbox, credentials);
        let error = refused(Tunnel::builder(TARGET).remote_port(1).sdk_config(&config)).await;
        assert!(
            matches!(service(&error), ServiceError::InvalidCredentials { .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains("check the access key"),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_is_distinguished_from_a_bad_target() {
    let sandbox = sandbox(instance(echo().await)).await;
    let error = refused(tunnel(&sandbox).document_name("No-Such-Document")).await;
    assert!(
        matches!(service(&error), ServiceError::InvalidDocument { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("No-Such-Document"), "{error}");
    let error = refused(tunnel(&sandbox).parameter("nonsense", "1")).await;
    assert!(
        matches!(service(&error), ServiceError::InvalidParameters { .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_settings_are_refused_before_any_request() {
    let sandbox = sandbox(instance(echo().await)).await;
    let config = config(&sandbox);
    let base = || Tunnel::builder(TARGET).sdk_config(&config);
    for (builder, word) in [
        (base(), "no remote port"),
        (base().remote_port(0), "port 0"),
        (base().remote_port(1).remote_host(" "), "remote host"),
        (base().remote_port(1).reason("x".repeat(257)), "256"),
        (
            Tunnel::builder(" ").remote_port(1).sdk_config(&config),
            "target",
        ),
    ] {
        let error = refused(builder).await;
        assert!(matches!(error, Error::Settings(_)), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = refused(base().remote_port(1).stream_endpoint("ws://10.0.0.1")).await;
    assert!(matches!(error, Error::StreamEndpoint(_)), "{error}");
    let regionless = config.to_builder().region(None).build();
    let error = refused(
        Tunnel::builder(TARGET)
            .remote_port(1)
            .sdk_config(&regionless),
    )
    .await;
    assert!(matches!(error, Error::NoRegion), "{error}");
    assert_eq!(sandbox.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_endpoint_says_to_check_the_network() {
    let sandbox = sandbox(instance(echo().await)).await;
    let nobody = format!("http://{}", e2e::closed_port());
    let error = refused(tunnel(&sandbox).endpoint_url(nobody)).await;
    assert!(
        matches!(service(&error), ServiceError::Network { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("check the network"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_answer_is_reported_without_its_content() {
    let sandbox = sandbox(instance(echo().await)).await;
    // The answer holds a stream URL and a token.
    sandbox.fail_next("StartSession", ApiFault::MalformedBody);
    let error = refused(tunnel(&sandbox)).await;
    assert!(
        matches!(service(&error), ServiceError::Unreadable { .. }),
        "{error}"
    );
    assert!(
        !format!("{error} {error:?}").contains("TokenValue"),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_outside_the_protocol_end_the_tunnel_with_an_error() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    let mut stream = soon("connecting", tunnel.connect()).await.expect("opens");
    sandbox.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let error = soon("the end", tunnel.closed())
        .await
        .expect_err("a failure");
    assert!(
        error.kind() == ErrorKind::Protocol && error.to_string().contains("is not smux"),
        "{error}"
    );
    let cut = soon("the cut", stream.read(&mut [0]))
        .await
        .expect_err("cut off");
    assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(cut.to_string().contains("smux"), "{cut}");
    e2e::no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_lost_during_the_handshake_hits_its_timeout() {
    let sandbox = sandbox(instance(echo().await).hold_handshake()).await;
    let mut limits = Limits::default();
    limits.tuning.handshake_timeout = Duration::from_millis(300);
    let tunnel = open(tunnel(&sandbox).limits(limits)).await;
    sandbox.vanish_agents();
    let error = soon("the end", tunnel.ready()).await.expect_err("no agent");
    assert!(
        error.to_string().contains("check that the SSM agent runs"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_lost_mid_transfer_ends_the_tunnel_with_an_error() {
    let sandbox = sandbox(instance(echo().await)).await;
    let mut limits = Limits::default();
    // Long enough for the answers of a slow machine before the agent vanishes.
    limits.tuning.peer_timeout = Duration::from_secs(9);
    let tunnel = open(tunnel(&sandbox).limits(limits)).await;
    let mut stream = soon("connecting", tunnel.connect()).await.expect("opens");
    let mut limits_reached = vec![0; 1];
    sandbox.vanish_agents();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"hello?")
        .await
        .expect("taken");
    let cut = soon("the cut", stream.read(&mut limits_reached))
        .await
        .expect_err("cut off");
    assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
    let error = soon("the end", tunnel.closed())
        .await
        .expect_err("a failure");
    assert!(
        error
            .to_string()
            .contains("nothing was heard from the agent"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ended_by_the_service_ends_the_tunnel_cleanly() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    sandbox.terminate_sessions();
    let end = soon("the end", tunnel.closed())
        .await
        .expect("no complaint");
    assert!(end.kind() == EndKind::ByService, "{end:?}");
    let error = soon("connecting", tunnel.connect())
        .await
        .expect_err("over");
    assert!(error.to_string().contains("ended the session"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_destination_is_reported_in_the_agents_words() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).remote_host("169.254.169.254")).await;
    let error = soon("the end", tunnel.closed())
        .await
        .expect_err("forbidden");
    assert!(
        error
            .to_string()
            .contains("Forwarding to IP address 169.254.169.254 is forbidden."),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_data_channel_names_the_permission() {
    let sandbox = sandbox(instance(echo().await)).await;
    // Another account's gateway, which knows neither the keys nor the session.
    let other = e2e::sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).stream_endpoint(other.stream_endpoint())).await;
    let error = soon("the end", tunnel.closed()).await.expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("HTTP 403"), "{text}");
    assert!(text.contains("ssmmessages:OpenDataChannel"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_and_failing_calls_are_retried_by_the_sdk() {
    let sandbox = sandbox(instance(echo().await)).await;
    sandbox.fail_next("StartSession", ApiFault::Throttle);
    sandbox.fail_next("StartSession", ApiFault::ErrorAfterHandling);
    let tunnel = open(tunnel(&sandbox)).await;
    let stream = soon("connecting", tunnel.connect()).await.expect("opens");
    echoed(stream, 1, 1000).await;
}
