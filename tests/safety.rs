//! Who may use a tunnel, and where it listens.

use std::net::SocketAddr;
use std::time::Duration;

#[cfg(unix)]
use e2e::{config, event};
use e2e::{connect, echo, echoed, instance, open, sandbox, soon, tunnel};
use ssm_tunnel::{Error, Limits};
#[cfg(unix)]
use ssm_tunnel::{Event, Tunnel};
#[cfg(unix)]
use tokio::io::AsyncReadExt as _;

/// The error of a tunnel that cannot be opened, and has started no session.
async fn refused(change: impl Fn(ssm_tunnel::TunnelBuilder) -> ssm_tunnel::TunnelBuilder) -> Error {
    let sandbox = sandbox(instance(echo().await)).await;
    let error = soon("the refusal", change(tunnel(&sandbox)).open())
        .await
        .expect_err("cannot be opened");
    assert_eq!(sandbox.request_count("StartSession"), 0);
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn other_machines_are_admitted_only_on_explicit_request() {
    let everywhere = ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:0.0.0.0]:0"];
    for address in everywhere {
        let address: SocketAddr = address.parse().expect("an address");
        let error = refused(|builder| builder.local_address(address)).await;
        assert!(matches!(error, Error::Settings(_)), "{error}");
        assert!(error.to_string().contains("expose it"), "{error}");
    }
    let sandbox = sandbox(instance(echo().await)).await;
    let anywhere = "0.0.0.0:0".parse().expect("an address");
    let exposed = tunnel(&sandbox).local_address(anywhere).expose_to_network();
    let tunnel = open(exposed).await;
    assert!(
        tunnel
            .local_addr()
            .expect("a local port")
            .ip()
            .is_unspecified()
    );
    echoed(connect(&tunnel).await, 1, 10_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_port_may_use_any_loopback_address() {
    let sandbox = sandbox(instance(echo().await)).await;
    let default = open(tunnel(&sandbox).local_port(0)).await;
    assert!(
        default
            .local_addr()
            .expect("a local port")
            .ip()
            .is_loopback()
    );
    let mut addresses = vec!["127.0.0.1:0"];
    if cfg!(target_os = "linux") {
        addresses.push("127.0.0.77:0");
    }
    if tokio::net::TcpListener::bind("[::1]:0").await.is_ok() {
        addresses.push("[::1]:0");
    }
    for address in addresses {
        let address: SocketAddr = address.parse().expect("an address");
        let tunnel = open(tunnel(&sandbox).local_address(address)).await;
        assert_eq!(
            tunnel.local_addr().expect("a local port").ip(),
            address.ip()
        );
        echoed(connect(&tunnel).await, 1, 10_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_limits_are_refused() {
    for name in [
        "ping_interval",
        "max_payload",
        "max_connections",
        "sessions",
        "keep_alive",
    ] {
        let error = refused(|builder| {
            let mut limits = Limits::default();
            match name {
                "ping_interval" => limits.tuning.ping_interval = Duration::ZERO,
                "max_payload" => limits.tuning.max_payload = Limits::MIN_PAYLOAD - 1,
                "max_connections" => limits.max_connections = 0,
                "sessions" => limits.sessions = 0,
                _ => limits.keep_alive = Some(Duration::ZERO),
            }
            builder.limits(limits)
        })
        .await;
        assert!(matches!(error, Error::Settings(_)), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
#[tokio::test(flavor = "multi_thread")]
async fn connections_of_the_same_user_are_admitted() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0).same_user_only()).await;
    for seed in 0..3 {
        echoed(connect(&tunnel).await, seed, 10_000).await;
    }
}

/// Runs a program as another user, which takes root.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn connections_of_another_user_are_reset() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0).same_user_only()).await;
    let mut events = tunnel.events();
    let port = tunnel
        .local_addr()
        .expect("a local port")
        .port()
        .to_string();
    // 65534 is the user `nobody`.
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && cat <&3");
    let tried = tokio::process::Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "bash", "-c", &script])
        .output()
        .await;
    let Ok(tried) = tried else {
        return skipped("there is no setpriv");
    };
    let said = String::from_utf8_lossy(&tried.stderr).into_owned();
    if said.contains("setpriv:") {
        return skipped(&said);
    }
    assert!(!tried.status.success(), "it was let in");
    let reason = event(&mut events, "the refusal", |event| match event {
        Event::ConnectionFailed { reason, .. } => Some(reason.clone()),
        Event::ConnectionOpened { .. } => panic!("it was let in"),
        _ => None,
    });
    assert!(reason.await.contains("not of this user"));
}

/// The system no longer knows the owner of a closed connection, and shows it as root's.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_closed_before_identification_is_refused() {
    use std::io::Write as _;
    // On one thread, so that the listener runs only after the connection is closed.
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0).same_user_only()).await;
    let mut events = tunnel.events();
    let mut tcp = std::net::TcpStream::connect(tunnel.local_addr().expect("a local port"))
        .expect("it listens");
    tcp.write_all(b"whose?").expect("taken");
    drop(tcp);
    let reason = event(&mut events, "the refusal", |event| match event {
        Event::ConnectionUnidentified { reason, .. } => Some(reason.clone()),
        Event::ConnectionOpened { .. } => panic!("it was let in"),
        _ => None,
    });
    let reason = reason.await;
    assert!(reason.contains("owner could not be determined"), "{reason}");
}

#[cfg(target_os = "linux")]
#[expect(clippy::print_stderr, reason = "a test that could not be run says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_carries_connections_and_is_removed_at_the_end() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("tunnel");
    let sandbox = sandbox(instance(echo().await)).await;
    let builder = tunnel(&sandbox).local_socket(&path).same_user_only();
    let tunnel = open(builder.clone()).await;
    let mut events = tunnel.events();
    let listening = event(&mut events, "listening", |event| match event {
        Event::ListeningOnSocket { path } => Some(path.clone()),
        _ => None,
    });
    assert_eq!(listening.await, path);
    for seed in 0..3 {
        let socket = tokio::net::UnixStream::connect(&path)
            .await
            .expect("connects");
        echoed(socket, seed, 100_000).await;
    }
    let error = soon("the refusal", builder.open()).await;
    let error = error.expect_err("in use");
    assert!(
        matches!(&error, Error::LocalSocket { path: of, .. } if *of == path),
        "{error}"
    );
    assert!(error.to_string().contains("listens there"), "{error}");
    soon("closing", tunnel.close()).await.expect("a clean end");
    assert!(!path.exists(), "the socket's file is left behind");
}

/// The session's end also reaches connections over a Unix socket.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_ends_with_its_session() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("tunnel");
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(
        Tunnel::builder(e2e::TARGET)
            .remote_port(1)
            .sdk_config(&config(&sandbox))
            .local_socket(&path),
    )
    .await;
    soon("ready", tunnel.ready()).await.expect("ready");
    let mut socket = tokio::net::UnixStream::connect(&path)
        .await
        .expect("connects");
    sandbox.terminate_sessions();
    soon("the end", tunnel.closed()).await.expect("in order");
    let end = soon("its end", socket.read(&mut [0])).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[cfg(not(unix))]
#[tokio::test]
async fn unix_sockets_are_refused_on_this_system() {
    let error = refused(|builder| builder.local_socket("tunnel")).await;
    assert!(error.to_string().contains("use a local port"), "{error}");
}
