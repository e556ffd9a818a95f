//! Agents and documents that carry one connection per session.

use std::sync::Arc;
use std::time::Duration;

use e2e::{
    closed_port, connect, echo, echoed, event, instance, is_reset, no_sessions, open, sandbox,
    service, soon, tunnel,
};
use ssm_sandbox::{Faults, Lossy, Sandbox};
use ssm_tunnel::{Event, Limits, Outcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const OLD: [&str; 3] = ["3.0.196.0", "2.3.722.0", "2.3.50.0"];

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_connections_each_use_their_own_session() {
    for version in OLD {
        let sandbox = sandbox(instance(echo().await).agent_version(version)).await;
        let tunnel = open(tunnel(&sandbox).local_port(0)).await;
        let transfers = (0..5).map(|seed| {
            let tunnel = &tunnel;
            async move { echoed(connect(tunnel).await, seed, 200_000).await }
        });
        let mut transfers: Vec<_> = transfers.map(Box::pin).collect();
        soon("all transfers", async {
            let all = std::future::poll_fn(|cx| {
                transfers.retain_mut(|transfer| transfer.as_mut().poll(cx).is_pending());
                match transfers.is_empty() {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                }
            });
            all.await;
        })
        .await;
        assert_eq!(sandbox.request_count("StartSession"), 5, "agent {version}");
        soon("closing", tunnel.close()).await.expect("a clean end");
        no_sessions(&sandbox).await;
    }
}

/// The agent dials again only when it gets a byte, so a reused session would lose the greeting of
/// such a server.
#[tokio::test(flavor = "multi_thread")]
async fn servers_that_speak_first_work_on_every_connection() {
    let greeting = service(|mut tcp| async move {
        let _ = tcp.write_all(b"220 ready\r\n").await;
        let _ = tcp.read(&mut [0]).await;
    });
    let sandbox = sandbox(instance(greeting.await).agent_version("3.0.196.0")).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    for _ in 0..3 {
        let mut tcp = connect(&tunnel).await;
        let mut greeting = [0; 11];
        soon("the greeting", tcp.read_exact(&mut greeting))
            .await
            .expect("heard");
        assert_eq!(&greeting, b"220 ready\r\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ssh_document_ends_its_connection_when_the_port_closes() {
    let goodbye = service(|mut tcp| async move {
        let mut question = [0; 4];
        let _ = tcp.read_exact(&mut question).await;
        let _ = tcp.write_all(&vec![9; 50_000]).await;
    });
    let sandbox = sandbox(instance(goodbye.await)).await;
    let tunnel = open(
        tunnel(&sandbox)
            .document_name("AWS-StartSSHSession")
            .local_port(0),
    )
    .await;
    for _ in 0..2 {
        let mut tcp = connect(&tunnel).await;
        tcp.write_all(b"quit").await.expect("taken");
        let mut answer = Vec::new();
        soon("the answer", tcp.read_to_end(&mut answer))
            .await
            .expect("in order");
        assert_eq!(answer, vec![9; 50_000]);
    }
    soon("closing", tunnel.close()).await.expect("a clean end");
}

/// More than the gateway buffers, all of it in flight when the agent has finished.
#[tokio::test(flavor = "multi_thread")]
async fn data_in_flight_at_the_ssh_sessions_end_arrives() {
    let data = vec![9; 3_000_000];
    let answer = data.clone();
    let goodbye = service(move |mut tcp| {
        let answer = answer.clone();
        async move {
            let _ = tcp.read_exact(&mut [0; 4]).await;
            let _ = tcp.write_all(&answer).await;
        }
    });
    let late = Lossy::default()
        .delay(Duration::from_millis(200))
        .reorder(0.1);
    let faults = Faults::default().to_client(late);
    let builder = Sandbox::builder().enforce_mfa(false).faults(faults);
    let instance = instance(goodbye.await);
    let sandbox = builder.instance(instance).start().await.expect("starts");
    let builder = tunnel(&sandbox).document_name("AWS-StartSSHSession");
    let tunnel = open(builder.local_port(0)).await;
    let mut tcp = connect(&tunnel).await;
    tcp.write_all(b"quit").await.expect("taken");
    let mut received = Vec::new();
    soon("the answer", tcp.read_to_end(&mut received))
        .await
        .expect("in order");
    assert!(received == data, "{} bytes arrived", received.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_port_resets_only_its_connection() {
    let sandbox = sandbox(instance(closed_port()).agent_version("3.0.196.0")).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let mut events = tunnel.events();
    let refused = event(&mut events, "the refusal", |event| match event {
        Event::DestinationRefused { message, .. } => Some(message.clone()),
        _ => None,
    });
    let message = refused.await;
    assert!(
        message.contains("Unable to connect to specified port"),
        "{message}"
    );
    is_reset(tunnel.local_addr().expect("a local port")).await;
    sandbox.set_instance(instance(echo().await).agent_version("3.0.196.0"));
    echoed(connect(&tunnel).await, 1, 1000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn smux_keep_alives_keep_an_idle_session_open() {
    let sandbox = sandbox(instance(echo().await).agent_version("3.1.1511.0")).await;
    let tunnel = open(tunnel(&sandbox)).await;
    let stream = soon("connecting", tunnel.connect()).await.expect("opens");
    echoed(stream, 1, 10_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_ends_its_session() {
    let sandbox = sandbox(instance(echo().await).agent_version("3.0.196.0")).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let mut events = tunnel.events();
    let mut tcp = connect(&tunnel).await;
    tcp.write_all(b"x").await.expect("taken");
    soon("the echo", tcp.read_exact(&mut [0]))
        .await
        .expect("comes back");
    // A reset, as from a killed program.
    tcp.set_zero_linger().expect("a TCP socket");
    drop(tcp);
    let ended = event(&mut events, "the end", |event| match event {
        Event::ConnectionClosed { outcome, .. } => Some(*outcome),
        _ => None,
    });
    assert_eq!(ended.await, Outcome::LocalReset);
    no_sessions(&sandbox).await;
    echoed(connect(&tunnel).await, 2, 1000).await;
}

/// A connection beyond the limit of sessions is served once a session ends.
#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_session_limit_wait() {
    let sandbox = sandbox(instance(echo().await).agent_version("3.0.196.0")).await;
    let mut limits = Limits::default();
    limits.max_sessions = 1;
    // The clients shut down writing; their sessions are free once no more answers can come.
    limits.half_close_quiet = Duration::from_millis(10);
    let tunnel = open(tunnel(&sandbox).local_port(0).limits(limits)).await;
    let transfers = (0..6).map(|seed| {
        let tunnel = &tunnel;
        async move { echoed(connect(tunnel).await, seed, 50_000).await }
    });
    let mut transfers: Vec<_> = transfers.map(Box::pin).collect();
    let all = std::future::poll_fn(|cx| {
        transfers.retain_mut(|transfer| transfer.as_mut().poll(cx).is_pending());
        match transfers.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    });
    soon("all transfers", all).await;
    soon("closing", tunnel.close()).await.expect("a clean end");
    no_sessions(&sandbox).await;
}

/// The existing session goes on; the connection that needs another one learns why it cannot be started.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_start_costs_only_its_connection() {
    let sandbox = sandbox(instance(echo().await).agent_version("3.0.196.0")).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let mut events = tunnel.events();
    let mut first = connect(&tunnel).await;
    first.write_all(b"x").await.expect("taken");
    soon("the echo", first.read_exact(&mut [0]))
        .await
        .expect("comes back");
    sandbox.set_instance(
        instance(echo().await)
            .agent_version("3.0.196.0")
            .online(false),
    );
    is_reset(tunnel.local_addr().expect("a local port")).await;
    let reason = event(&mut events, "the failure", |event| match event {
        Event::ConnectionFailed { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let reason = reason.await;
    assert!(reason.contains("no further session"), "{reason}");
    assert!(
        reason.contains("not connected to Systems Manager"),
        "{reason}"
    );
    first.write_all(b"y").await.expect("taken");
    soon("the echo", first.read_exact(&mut [0]))
        .await
        .expect("the first connection goes on");
    sandbox.set_instance(instance(echo().await).agent_version("3.0.196.0"));
    echoed(connect(&tunnel).await, 1, 1000).await;
}

/// An agent before 3.2.1041.0 does not acknowledge duplicates. One message in twenty is lost on the
/// way back, besides those lost with the websocket: unless the client finds out what the agent has
/// of the messages without an acknowledgement, its window soon stays full.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_survives_cuts_when_agents_acknowledge_once() {
    const STEP: usize = 50_000;
    const STEPS: usize = 20;
    let mut data = vec![0; STEP * STEPS];
    fastrand::Rng::with_seed(7).fill(&mut data);
    let data = Arc::new(data);
    for version in ["3.2.1040.0", "2.3.50.0"] {
        let (progress, mut arrived) = tokio::sync::mpsc::unbounded_channel();
        let expected = data.clone();
        let uploads = service(move |mut tcp| {
            let (expected, progress) = (expected.clone(), progress.clone());
            async move {
                for expected in expected.chunks(STEP) {
                    let mut step = vec![0; STEP];
                    if tcp.read_exact(&mut step).await.is_err() || step != expected {
                        return;
                    }
                    let _ = progress.send(());
                }
                let _ = tcp.write_all(b"all").await;
                let _ = tcp.read(&mut [0]).await;
            }
        });
        let faults = Faults::default()
            .seed(5)
            .to_client(Lossy::default().drop(0.05));
        let builder = Sandbox::builder().enforce_mfa(false).faults(faults);
        let instance = instance(uploads.await).agent_version(version);
        let sandbox = builder.instance(instance).start().await.expect("starts");
        let mut limits = Limits::default();
        limits.tuning.max_unacknowledged = 16 << 10;
        let tunnel = open(tunnel(&sandbox).local_port(0).limits(limits)).await;
        let mut tcp = connect(&tunnel).await;
        let (mut read, mut write) = tcp.split();
        let mut answer = [0; 3];
        let upload = async {
            write.write_all(&data).await.expect("taken");
            read.read_exact(&mut answer).await.expect("an answer");
        };
        let cuts = async {
            for _ in 0..STEPS {
                arrived.recv().await.expect("the upload goes on");
                sandbox.cut_websockets();
            }
        };
        soon(version, async { tokio::join!(upload, cuts) }).await;
        assert_eq!(&answer, b"all");
        assert_eq!(sandbox.request_count("StartSession"), 1, "agent {version}");
        soon("closing", tunnel.close()).await.expect("a clean end");
        no_sessions(&sandbox).await;
    }
}

/// The agent ends the SSH document's session when the port closes, without saying so, just as when
/// the port refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_answered_is_not_reported_as_refused() {
    let address = service(|mut tcp| async move {
        let _ = tcp.write_all(b"SSH-2.0-x\r\n").await;
        let _ = tcp.read_u8().await;
    })
    .await;
    let sandbox = sandbox(instance(address)).await;
    let tunnel = open(tunnel(&sandbox).document_name("AWS-StartSSHSession")).await;
    let mut events = tunnel.events();
    let mut stream = soon("connecting", tunnel.connect())
        .await
        .expect("a stream");
    let mut banner = [0; 11];
    soon("the banner", stream.read_exact(&mut banner))
        .await
        .expect("sent");
    stream.write_all(b"q").await.expect("taken");
    // The service ends the session while its only connection is still open on this side.
    no_sessions(&sandbox).await;
    let _ = soon("the end", stream.read(&mut [0])).await;
    soon("closing", tunnel.close()).await.expect("a clean end");
    soon("the last event", async {
        while let Some(event) = events.next().await {
            let refused = matches!(event, Event::DestinationRefused { .. });
            assert!(!refused, "{event:?}");
            if matches!(event, Event::Closed { .. }) {
                break;
            }
        }
    })
    .await;
}
