//! The main job: bytes arrive through the tunnel unchanged.

use std::sync::Arc;

use e2e::{
    TARGET, closed_port, config_with_mfa, connect, echo, echoed, event, instance, is_reset,
    no_sessions, open, sandbox, sandbox_with_mfa, service, soon, tunnel,
};
use ssm_sandbox::{Instance, Sandbox};
use ssm_tunnel::{Error, Event, Limits, Outcome, Tunnel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test(flavor = "multi_thread")]
async fn an_mfa_code_opens_a_tunnel_denied_to_long_term_keys() {
    let sandbox = sandbox_with_mfa(instance(echo().await)).await;
    let denied = soon("the denial", tunnel(&sandbox).open())
        .await
        .expect_err("denied without MFA");
    assert!(
        denied.to_string().contains("with an explicit deny"),
        "{denied}"
    );
    assert!(denied.to_string().contains("MFA"), "{denied}");

    let config = config_with_mfa(&sandbox).await;
    let tunnel = open(
        Tunnel::builder(TARGET)
            .remote_port(3389)
            .local_port(0)
            .sdk_config(&config),
    )
    .await;
    echoed(connect(&tunnel).await, 1, 100_000).await;
    assert_eq!(sandbox.request_count("GetSessionToken"), 1);
    soon("closing", tunnel.close()).await.expect("a clean end");
    no_sessions(&sandbox).await;
}

/// 64 MB in total each way.
async fn sixty_four_megabytes_over(connections: usize) {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let length = (64 << 20) / connections;
    let mut transfers = tokio::task::JoinSet::new();
    for number in 0..connections {
        let tcp = connect(&tunnel).await;
        transfers.spawn(echoed(tcp, number as u64, length));
    }
    while let Some(transfer) = transfers.join_next().await {
        transfer.expect("every byte came back");
    }
    soon("closing", tunnel.close()).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_megabytes_arrive_over_one_connection() {
    sixty_four_megabytes_over(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_megabytes_arrive_over_16_connections() {
    sixty_four_megabytes_over(16).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_megabytes_arrive_over_200_connections() {
    sixty_four_megabytes_over(200).await;
}

/// The reference client turns a message that is a single line feed into a carriage return, which
/// changes the last byte of a write one byte longer than a message.
#[tokio::test(flavor = "multi_thread")]
async fn writes_ending_in_a_line_feed_arrive_unchanged() {
    for agent in ["3.3.4851.0", "3.0.196.0"] {
        let sandbox = sandbox(instance(echo().await).agent_version(agent)).await;
        let tunnel = open(tunnel(&sandbox)).await;
        let mut stream = soon("connecting", tunnel.connect()).await.expect("opens");
        for length in 1..=4100 {
            let mut data = vec![b'x'; length];
            data[length - 1] = b'\n';
            let mut received = vec![0; length];
            soon("the echo", async {
                stream.write_all(&data).await.expect("taken");
                stream.read_exact(&mut received).await.expect("comes back");
            })
            .await;
            assert!(received == data, "agent {agent}, length {length}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_a_half_close_arrives() {
    let reads_to_the_end = service(|mut tcp| async move {
        // Answers the question at once, then closes.
        let mut question = [0; 8];
        tcp.read_exact(&mut question).await.expect("the question");
        tcp.write_all(&vec![7; 300_000]).await.expect("the answer");
    });
    let sandbox = sandbox(instance(reads_to_the_end.await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let mut tcp = connect(&tunnel).await;
    tcp.write_all(b"question").await.expect("taken");
    tcp.shutdown().await.expect("half closed");
    let mut answer = Vec::new();
    soon("the answer", tcp.read_to_end(&mut answer))
        .await
        .expect("ends in order");
    assert_eq!(answer, vec![7; 300_000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_destination_resets_only_its_connection() {
    let sandbox = sandbox(instance(closed_port())).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let mut events = tunnel.events();
    is_reset(tunnel.local_addr().expect("a local port")).await;
    event(&mut events, "the refusal", |event| {
        matches!(event, Event::DestinationRefused { .. }).then_some(())
    })
    .await;
    let outcome = event(&mut events, "the end", |event| match event {
        Event::ConnectionClosed { outcome, .. } => Some(*outcome),
        _ => None,
    });
    assert_eq!(outcome.await, Outcome::Refused);

    let mut stream = soon("connecting", tunnel.connect())
        .await
        .expect("the tunnel lives");
    let error = soon("the refusal", stream.read(&mut [0]))
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    soon("closing", tunnel.close()).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_made_before_the_handshake_is_held() {
    let sandbox = sandbox(instance(echo().await).hold_handshake()).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let mut events = tunnel.events();
    let mut tcp = connect(&tunnel).await;
    tcp.write_all(b"early")
        .await
        .expect("the local socket takes it");
    let early = event(&mut events, "listening", |event| match event {
        Event::Listening { address } => Some(*address),
        Event::Ready { .. } => panic!("the handshake is held"),
        _ => None,
    });
    assert_eq!(early.await, tunnel.local_addr().expect("a local port"));
    // Only once the agent waits may its handshake be completed.
    soon("the data channel", async {
        while sandbox.request_count("OpenDataChannel") == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    sandbox.release_handshakes();
    let mut back = [0; 5];
    soon("the echo", async {
        let mut echo = std::pin::pin!(tcp.read_exact(&mut back));
        // A release before the client's response arrives has no effect: release until it has.
        loop {
            tokio::select! {
                read = &mut echo => return read.expect("comes back"),
                () = tokio::task::yield_now() => sandbox.release_handshakes(),
            }
        }
    })
    .await;
    assert_eq!(&back, b"early");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_port_in_use_costs_no_session() {
    let sandbox = sandbox(instance(echo().await)).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = taken.local_addr().expect("bound").port();
    let error = soon("the refusal", tunnel(&sandbox).local_port(port).open()).await;
    let error = error.expect_err("the port is taken");
    assert!(matches!(error, Error::LocalAddress { address, .. } if address.port() == port));
    assert!(
        error.to_string().contains("choose another local port"),
        "{error}"
    );
    assert_eq!(sandbox.request_count("StartSession"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_host_and_a_custom_document_reach_their_destinations() {
    let host = Instance::new(TARGET)
        .host("database.internal", echo().await)
        .paced(false);
    let sandbox = Sandbox::builder()
        .enforce_mfa(false)
        .instance(host)
        .document("Team-Forward")
        .start()
        .await
        .expect("starts");
    for document in [None, Some("Team-Forward")] {
        let mut builder = tunnel(&sandbox)
            .remote_host("database.internal")
            .reason("a test");
        if let Some(name) = document {
            builder = builder.document_name(name);
        }
        let tunnel = open(builder).await;
        let stream = soon("connecting", tunnel.connect()).await.expect("opens");
        echoed(stream, 1, 10_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_report_a_tunnels_life_in_order() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let mut events = tunnel.events();
    soon("ready", tunnel.ready()).await.expect("ready");
    let mut tcp = connect(&tunnel).await;
    let peer = tcp.local_addr().expect("connected");
    tcp.write_all(b"hello").await.expect("taken");
    tcp.read_exact(&mut [0; 5]).await.expect("comes back");
    tcp.shutdown().await.expect("half closed");
    let mut rest = Vec::new();
    // The echo ends once the quiet time has passed and the agent has the end-of-file.
    soon("the end", tcp.read_to_end(&mut rest))
        .await
        .expect("in order");
    soon("closing", tunnel.close()).await.expect("a clean end");
    let session_id = tunnel.session_id();
    let address = tunnel.local_addr().expect("a local port");
    drop(tunnel);

    let mut story = Vec::new();
    while let Some(event) = soon("the next event", events.next()).await {
        story.push(event);
    }
    let [
        Event::SessionStarted {
            session_id: started,
        },
        Event::Listening { address: listening },
        Event::Ready {
            multiplexed: true,
            agent_version,
            ..
        },
        Event::ConnectionOpened {
            session_id: opened_in,
            connection: 1,
            peer: Some(opened),
        },
        Event::ConnectionClosed {
            session_id: closed_in,
            connection: 1,
            sent: 5,
            received: 5,
            outcome: Outcome::Finished,
        },
        Event::Closed { clean: true, .. },
    ] = story.as_slice()
    else {
        panic!("other events: {story:#?}");
    };
    assert_eq!((started, *listening, *opened), (&session_id, address, peer));
    assert_eq!((opened_in, closed_in), (&session_id, &session_id));
    assert_eq!(agent_version, "3.3.5068.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_blocks_no_other_within_the_budget() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox)).await;
    let mut stalled = soon("connecting", tunnel.connect()).await.expect("opens");
    let data = vec![1; 1 << 20];
    soon("writing", stalled.write_all(&data))
        .await
        .expect("taken");
    // Its answer is unread, yet another stream works.
    let other = soon("connecting", tunnel.connect()).await.expect("opens");
    echoed(other, 3, 2 << 20).await;
    let mut back = vec![0; data.len()];
    soon("the stalled answer", stalled.read_exact(&mut back))
        .await
        .expect("whole");
    assert!(back == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_closing_during_an_upload_ends_in_order() {
    let destination = service(|mut tcp| async move {
        let mut some = [0; 10];
        let _ = tcp.read_exact(&mut some).await;
        let _ = tcp.write_all(b"enough").await;
        // Closing with unread bytes would be a reset, which destroys the answer.
        let _ = tcp.shutdown().await;
        let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
    });
    let sandbox = sandbox(instance(destination.await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    let tcp = TcpStream::connect(tunnel.local_addr().expect("a local port"))
        .await
        .expect("accepts");
    let (mut read, mut write) = tcp.into_split();
    let sending = tokio::spawn(async move {
        let chunk = [0; 1024];
        for _ in 0..200 {
            if write.write_all(&chunk).await.is_err() {
                break;
            }
        }
    });
    let mut answer = [0; 6];
    soon("the answer", read.read_exact(&mut answer))
        .await
        .expect("arrives");
    assert_eq!(&answer, b"enough");
    soon("the sender", sending).await.expect("ends");
    soon("closing", tunnel.close()).await.expect("clean");
}

/// Other clients cut off a reader that pauses in a long download, with an end-of-file that looks
/// like the regular one.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_pausing_mid_download_gets_every_byte() {
    const LENGTH: usize = 8 << 20;
    let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = written.clone();
    let destination = service(move |mut tcp| {
        let count = count.clone();
        async move {
            for number in 0..LENGTH / 4096 {
                if tcp.write_all(&[number as u8; 4096]).await.is_err() {
                    return;
                }
                count.fetch_add(4096, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    let sandbox = sandbox(instance(destination.await)).await;
    let mut limits = Limits::default();
    limits.tuning.session_receive_budget = 256 << 10;
    let tunnel = open(tunnel(&sandbox).limits(limits)).await;
    let mut stream = soon("connecting", tunnel.connect()).await.expect("opens");
    // What exceeds the budget waits in sockets.
    soon("the destination", async {
        while written.load(std::sync::atomic::Ordering::SeqCst) < 1 << 20 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut received = Vec::new();
    soon("the download", stream.read_to_end(&mut received))
        .await
        .expect("in order");
    assert_eq!(received.len(), LENGTH);
    let intact = received
        .chunks(4096)
        .enumerate()
        .all(|(number, chunk)| chunk.iter().all(|byte| *byte == number as u8));
    assert!(intact, "bytes are not where they belong");
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_follow_a_transfer_while_it_runs() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0)).await;
    soon("ready", tunnel.ready()).await.expect("ready");
    let before = tunnel.stats();
    assert_eq!(
        (before.sent, before.received, before.connections),
        (0, 0, 0)
    );
    assert_eq!((before.sessions, before.resumes), (1, 0));

    let mut tcp = connect(&tunnel).await;
    echoed(&mut tcp, 1, 100_000).await;
    let stream = soon("connecting", tunnel.connect()).await.expect("opens");
    echoed(stream, 2, 50_000).await;
    let open_now = tunnel.stats();
    assert_eq!((open_now.sent, open_now.received), (150_000, 150_000));
    assert_eq!((open_now.connections, open_now.open_connections), (2, 1));
    assert!(open_now.round_trip.is_some());

    sandbox.cut_websockets();
    echoed(&mut tcp, 3, 1000).await;
    assert_eq!(tunnel.stats().resumes, 1);
    soon("closing", tunnel.close()).await.expect("a clean end");
}
