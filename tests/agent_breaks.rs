//! The agent's own websocket breaks while it acknowledges: it has passed the bytes on, and passes
//! them on again when they are retransmitted.

use std::io::ErrorKind;
use std::net::SocketAddr;

use e2e::{connect, event, instance, open, service, soon, tunnel};
use sha2::{Digest as _, Sha256};
use ssm_sandbox::{Faults, Sandbox};
use ssm_tunnel::{Event, Outcome, Tunnel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const UPLOAD: usize = 3 << 20;

async fn breaking(destination: SocketAddr, version: &str, faults: Faults) -> Sandbox {
    let instance = instance(destination).agent_version(version);
    let builder = Sandbox::builder().enforce_mfa(false).faults(faults);
    builder.instance(instance).start().await.expect("starts")
}

/// A destination that answers the first [`UPLOAD`] bytes with their digest.
async fn digester() -> SocketAddr {
    service(|mut tcp: TcpStream| async move {
        let mut uploaded = vec![0; UPLOAD];
        if tcp.read_exact(&mut uploaded).await.is_ok() {
            let _ = tcp.write_all(&Sha256::digest(&uploaded)).await;
            // Until the local side closes.
            let mut rest = Vec::new();
            let _ = tcp.read_to_end(&mut rest).await;
        }
    })
    .await
}

async fn upload(tunnel: &Tunnel, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; UPLOAD];
    random.fill(&mut bytes);
    let mut tcp = connect(tunnel).await;
    tcp.write_all(&bytes).await.expect("taken");
    let mut digest = [0; 32];
    tcp.read_exact(&mut digest).await.expect("the digest");
    assert_eq!(digest[..], Sha256::digest(&bytes)[..], "upload {seed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_arrives_once_when_the_agents_websocket_breaks() {
    // Versions around the first that processes a message before it acknowledges.
    for (version, repeats) in [
        ("3.3.4851.0", true),
        ("3.0.655.0", true),
        ("3.0.654.0", false),
    ] {
        let faults = Faults::default().agent_breaks_after(700);
        let sandbox = breaking(digester().await, version, faults).await;
        let tunnel = open(tunnel(&sandbox).local_port(0)).await;
        let uploads = async { tokio::join!(upload(&tunnel, 1), upload(&tunnel, 2)) };
        soon("the uploads", uploads).await;
        let repeated = sandbox.repeated_messages();
        if repeats {
            assert!(
                repeated >= 3,
                "agent {version}: {repeated} messages repeated"
            );
        } else {
            assert_eq!(repeated, 0, "agent {version}");
        }
        assert_eq!(sandbox.request_count("StartSession"), 1);
        soon("closing", tunnel.close()).await.expect("a clean end");
    }
}

/// A session of the SSH document whose agent loses its websocket with the first bytes.
async fn broken(first: &'static [u8], sandbox: &Sandbox) -> (Tunnel, TcpStream) {
    let builder = tunnel(sandbox).document_name("AWS-StartSSHSession");
    let tunnel = open(builder.local_port(0)).await;
    let mut tcp = connect(&tunnel).await;
    let greeting = soon("the greeting", tcp.read_u8()).await;
    assert_eq!(greeting.expect("the destination is there"), b'+');
    sandbox.break_agent_websockets();
    tcp.write_all(first).await.expect("taken");
    (tunnel, tcp)
}

/// A destination that sends a greeting, and `twice` if `text` arrives twice.
async fn counter(text: &'static [u8]) -> SocketAddr {
    service(move |mut tcp: TcpStream| async move {
        let _ = tcp.write_all(b"+").await;
        let mut twice = vec![0; 2 * text.len()];
        if tcp.read_exact(&mut twice).await.is_ok() && twice == [text, text].concat() {
            let _ = tcp.write_all(b"twice").await;
        }
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_stream_with_possibly_doubled_bytes_is_reset() {
    let destination = counter(b"INSERT INTO t").await;
    let sandbox = breaking(destination, "3.3.4851.0", Faults::default()).await;
    let (tunnel, mut tcp) = broken(b"INSERT INTO t", &sandbox).await;
    let mut events = tunnel.events();
    let mut rest = Vec::new();
    let error = soon("the reset", tcp.read_to_end(&mut rest)).await;
    let error = error.expect_err("the destination may have got it twice");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let outcome = event(&mut events, "the connection's end", |event| match event {
        Event::ConnectionClosed { outcome, .. } => Some(*outcome),
        _ => None,
    });
    assert_eq!(outcome.await, Outcome::Doubled);
    soon("closing", tunnel.close()).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_in_process_stream_reports_why_it_was_reset() {
    let destination = counter(b"INSERT INTO t").await;
    let sandbox = breaking(destination, "3.3.4851.0", Faults::default()).await;
    let tunnel = open(tunnel(&sandbox).document_name("AWS-StartSSHSession")).await;
    let mut stream = soon("connecting", tunnel.connect()).await.expect("opens");
    let greeting = soon("the greeting", stream.read_u8()).await;
    assert_eq!(greeting.expect("the destination is there"), b'+');
    sandbox.break_agent_websockets();
    stream.write_all(b"INSERT INTO t").await.expect("taken");
    let error = soon("the reset", stream.read(&mut [0])).await;
    let error = error.expect_err("the destination may have got it twice");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(
        error.to_string().contains("passed on bytes twice"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_stream_with_doubled_bytes_is_left_to_ssh() {
    const HELLO: &[u8] = b"SSH-2.0-test\r\n";
    let sandbox = breaking(counter(HELLO).await, "3.3.4851.0", Faults::default()).await;
    let (_tunnel, mut tcp) = broken(HELLO, &sandbox).await;
    let mut answer = [0; 5];
    soon("the answer", tcp.read_exact(&mut answer))
        .await
        .expect("the connection is open");
    assert_eq!(&answer, b"twice");
    assert_eq!(sandbox.repeated_messages(), 1);
}
