//! What the end-to-end tests share: a sandbox, services behind it, and waiting without sleeping.

pub mod http;
pub mod peers;
#[cfg(unix)]
pub mod running;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use ssm_mfa::{MemoryStore, MfaProvider, MfaProviderBuilder, StaticCode};
use ssm_sandbox::{Instance, Sandbox};
use ssm_tunnel::{Event, Events, Tunnel, TunnelBuilder};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The instance that most tests use.
pub const TARGET: &str = "i-0123456789abcdef0";
/// Long enough for a slow machine: a test that hits it hangs.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Waits under a generous limit.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {PATIENCE:?}"),
    }
}

/// An instance whose every port leads to `destination`, with an agent as fast as it can be.
pub fn instance(destination: SocketAddr) -> Instance {
    Instance::new(TARGET).destination(destination).paced(false)
}

/// A sandbox with one instance and no MFA policy.
pub async fn sandbox(instance: Instance) -> Sandbox {
    let builder = Sandbox::builder().enforce_mfa(false).instance(instance);
    builder.start().await.expect("loopback can be listened on")
}

/// A sandbox with one instance, where StartSession without MFA is denied.
pub async fn sandbox_with_mfa(instance: Instance) -> Sandbox {
    let builder = Sandbox::builder().instance(instance);
    builder.start().await.expect("loopback can be listened on")
}

/// An SDK configuration with the user's long-term keys.
pub fn config(sandbox: &Sandbox) -> SdkConfig {
    let (id, secret) = (sandbox.access_key_id(), sandbox.secret_access_key());
    config_with(sandbox, Credentials::new(id, secret, None, None, "test"))
}

/// An SDK configuration with other credentials.
pub fn config_with(sandbox: &Sandbox, credentials: Credentials) -> SdkConfig {
    config_at(sandbox.endpoint_url(), credentials)
}

/// An SDK configuration for another endpoint, with keys that mean nothing.
pub fn config_without_sandbox(endpoint: impl Into<String>) -> SdkConfig {
    let keys = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
    config_at(endpoint, keys)
}

fn config_at(endpoint: impl Into<String>, credentials: Credentials) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// A provider for the sandbox's user and device that stores its session in memory; callers add the
/// source of the code.
pub fn mfa(sandbox: &Sandbox) -> MfaProviderBuilder {
    MfaProvider::builder()
        .sts_config(&config(sandbox))
        .serial(sandbox.mfa_serial().parse().expect("a serial number"))
        .store(MemoryStore::new())
}

/// An SDK configuration with the credentials of an MFA login.
pub async fn config_with_mfa(sandbox: &Sandbox) -> SdkConfig {
    let code = sandbox.next_unused_code().parse().expect("six digits");
    let builder = mfa(sandbox).code_source(StaticCode::new(code));
    let provider = builder.build().expect("complete settings");
    let login = soon("the login", provider.login()).await;
    login.expect("the code is right");
    provider.sdk_config(&config(sandbox))
}

/// A tunnel to port 3389 of the instance, without a local port unless one is added.
pub fn tunnel(sandbox: &Sandbox) -> TunnelBuilder {
    Tunnel::builder(TARGET)
        .remote_port(3389)
        .sdk_config(&config(sandbox))
}

/// Opens it, under a limit.
pub async fn open(builder: TunnelBuilder) -> Tunnel {
    soon("opening", builder.open())
        .await
        .expect("the tunnel opens")
}

/// A service that sends back what it gets, until end-of-file.
pub async fn echo() -> SocketAddr {
    service(|mut tcp| async move {
        let (mut read, mut write) = tcp.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    })
    .await
}

/// A service on loopback that serves each connection like this.
pub async fn service<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tcp.set_nodelay(true).expect("a TCP socket");
            tokio::spawn(serve(tcp));
        }
    });
    address
}

/// A port that refuses connections until this program ends: bound, but not listening.
pub fn closed_port() -> SocketAddr {
    let socket = TcpSocket::new_v4().expect("a TCP socket");
    hold(socket)
}

/// Binds a socket to a free port of loopback, until the program ends.
fn hold(socket: TcpSocket) -> SocketAddr {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(any).expect("loopback");
    let address = socket.local_addr().expect("bound");
    std::mem::forget(socket);
    address
}

/// Connects to a tunnel's local port.
pub async fn connect(tunnel: &Tunnel) -> TcpStream {
    let tcp = soon(
        "connecting",
        TcpStream::connect(tunnel.local_addr().expect("a local port")),
    )
    .await;
    let tcp = tcp.expect("the local port accepts");
    tcp.set_nodelay(true).expect("a TCP socket");
    tcp
}

/// Checks that a connection to this port is reset, perhaps before it is established.
pub async fn is_reset(local: SocketAddr) {
    let outcome = soon("the reset", async {
        let mut tcp = TcpStream::connect(local).await?;
        tcp.read_to_end(&mut Vec::new()).await
    });
    let error = outcome.await.expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// Sends random bytes to an echo and compares what comes back.
pub async fn echoed(stream: impl AsyncRead + AsyncWrite + Unpin, seed: u64, length: usize) {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut data = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut data);
    let sending = async {
        write
            .write_all(&data)
            .await
            .expect("the stream takes the bytes");
    };
    let receiving = async {
        let mut received = vec![0; length];
        read.read_exact(&mut received)
            .await
            .expect("the bytes come back");
        received
    };
    let ((), received) = soon("the echo", async { tokio::join!(sending, receiving) }).await;
    assert!(
        received == data,
        "the bytes that came back are not those that were sent (seed {seed})"
    );
}

/// The first event that `wanted` picks; those before it are dropped.
pub async fn event<T>(events: &mut Events, what: &str, wanted: impl Fn(&Event) -> Option<T>) -> T {
    soon(what, async {
        while let Some(event) = events.next().await {
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
        panic!("the events ended before {what}");
    })
    .await
}

/// Whether a text contains a code. Six digits within an id or a longer number do not count: they
/// match by chance sooner or later.
pub fn tells(text: &str, code: &str) -> bool {
    text.match_indices(code).any(|(at, _)| {
        let alone = |beside: Option<char>| beside.is_none_or(|it| !it.is_ascii_alphanumeric());
        alone(text[..at].chars().next_back()) && alone(text[at + code.len()..].chars().next())
    })
}

/// Waits until TerminateSession was called for this many sessions.
pub async fn terminated(sandbox: &Sandbox, sessions: usize) {
    soon("TerminateSession", async {
        loop {
            let requests = sandbox.requests();
            let calls = requests.iter().filter(|it| it.action == "TerminateSession");
            // A call that fails on its way is retried.
            let ids: BTreeSet<_> = calls.filter_map(|it| it.parameter("SessionId")).collect();
            if ids.len() >= sessions {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits until the sandbox has no sessions left.
pub async fn no_sessions(sandbox: &Sandbox) {
    soon("the end of all sessions", async {
        while !sandbox.active_sessions().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
