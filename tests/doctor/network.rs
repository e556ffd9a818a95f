//! The network: endpoints, a proxy, the clock, the local port.

use std::time::Duration;

use e2e::{TARGET, closed_port, echo, instance, no_sessions};
use ssm_sandbox::Clock;
use tokio::net::TcpListener;

use super::run::{SECRET, doctor, run, run_command, sandbox, start};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn refusing_and_unresolvable_endpoints_are_distinguished() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let home = tempfile::tempdir().expect("a folder");
    let closed = format!("http://{}", closed_port());
    let mut command = doctor(&sandbox, home.path(), &[TARGET]).await;
    command.env("AWS_ENDPOINT_URL_STS", &closed);
    let found = run_command(&sandbox, command).await;
    found.expect(&["sts"], &["identity"]);
    found.says("sts", &["cannot reach", "443", "security group"]);

    // A label of 64 characters is invalid, so no resolver is asked (RFC 1035, section 2.3.4).
    let nowhere = format!("https://{}.test", "x".repeat(64));
    let stream = sandbox.stream_endpoint().to_owned();
    let arguments = [TARGET, "--stream-endpoint", &stream];
    let mut command = doctor(&sandbox, home.path(), &arguments).await;
    command.env("AWS_ENDPOINT_URL_SSM", &nowhere);
    let found = run_command(&sandbox, command).await;
    found.expect(
        &["ssm"],
        &["agent", "data-channel", "instance", "mfa", "session"],
    );
    found.says("ssm", &["does not resolve", "VPC endpoint"]);

    let dead = format!("ws://{}", closed_port());
    let found = run(&sandbox, &[TARGET, "--stream-endpoint", &dead]).await;
    found.expect(&["ssmmessages"], &[]);
    found.says("ssmmessages", &["cannot reach"]);
    no_sessions(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_silent_endpoint_does_not_hang_the_doctor() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("http://{}", silent.local_addr().expect("bound"));
    let home = tempfile::tempdir().expect("a folder");
    let mut command = doctor(&sandbox, home.path(), &[TARGET, "--timeout", "1"]).await;
    command
        .env("AWS_ENDPOINT_URL_STS", &url)
        .env("AWS_ENDPOINT_URL_SSM", &url);
    let found = run_command(&sandbox, command).await;
    for check in ["sts", "ssm"] {
        assert_eq!(found.status(check), "fail", "{}", found.all);
        found.says(check, &["did not answer within 1s"]);
    }
    for check in ["identity", "instance", "agent", "data-channel", "session"] {
        assert_eq!(found.status(check), "unknown", "{}", found.all);
    }
    assert_eq!(found.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_failing_proxy_is_named_without_its_password() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let home = tempfile::tempdir().expect("a folder");
    let (proxy, api, stream) = (closed_port(), closed_port(), closed_port());
    let stream = format!("wss://localhost:{}", stream.port());
    let arguments = [TARGET, "--stream-endpoint", &stream];
    let mut command = doctor(&sandbox, home.path(), &arguments).await;
    command
        .env(
            "AWS_ENDPOINT_URL",
            format!("https://localhost:{}", api.port()),
        )
        .env("HTTPS_PROXY", format!("http://user:{SECRET}@{proxy}"));
    let found = run_command(&sandbox, command).await;
    for check in ["proxy", "sts", "ssm", "ssmmessages"] {
        assert_eq!(found.status(check), "fail", "{}", found.all);
        found.says(check, &[&format!("http://{proxy}")]);
    }
    let through = &found.checks["proxy"]["details"]["endpoints"];
    assert_eq!(*through, serde_json::json!(["sts", "ssm", "ssmmessages"]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_wrong_clock_fails_and_shows_the_difference() {
    let clock = Clock::default();
    clock.advance(Duration::from_secs(3600));
    let sandbox = start(sandbox().clock(clock).instance(instance(echo().await))).await;
    let found = run(&sandbox, &[TARGET]).await;
    assert_eq!((found.status("clock"), found.code), ("fail", Some(1)));
    found.says("clock", &["behind AWS's", "set the clock"]);
    let ahead = found.checks["clock"]["details"]["ahead_seconds"].as_i64();
    let ahead = ahead.expect("a number");
    // To the minute: a slow machine reads its own clock late.
    assert!((-3660..=-3000).contains(&ahead), "{ahead}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs the built example"]
async fn a_local_port_in_use_fails_with_a_remedy() {
    let sandbox = start(sandbox().instance(instance(echo().await))).await;
    let busy = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = busy.local_addr().expect("bound").port().to_string();
    let found = run(&sandbox, &[TARGET, "--local-port-number", &port]).await;
    found.expect(&["local-port"], &[]);
    found.says("local-port", &[&port, "choose another local port"]);
    // Without a target there are fewer checks.
    let found = run(&sandbox, &["--local-port-number", "0"]).await;
    found.expect(&[], &["mfa", "ssmmessages"]);
    assert!(!found.checks.contains_key("instance"), "{}", found.all);
}
