//! The relay against a hand-played service: what it sends, and how the session ends.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use ssm_protocol::SessionEvent;
use ssm_relay::End;
use support::{Agent, Relay, config, relay, service, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A service that does not close the websocket after its last message is not waited for.
#[tokio::test(start_paused = true)]
async fn channel_closed_ends_the_session_at_once() {
    let (listener, api) = service(true).await;
    let relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, "3.3.4851.0").await;
    agent.ready().await;
    relay.ready().await.expect("ready");
    let started = tokio::time::Instant::now();
    agent.close_channel("idle for too long").await;
    let ended = tokio::spawn(async move { relay.closed().await });
    // Answers the closing handshake.
    while agent.event().await.is_some() {}
    let end = soon("the end", ended).await.expect("no panic");
    assert!(
        matches!(&end, End::ByService { output } if output == "idle for too long"),
        "{end:?}"
    );
    // Virtual time: it advances only while every task waits.
    assert_eq!(started.elapsed().as_secs(), 0);
    assert_eq!(
        api.terminated.load(Ordering::SeqCst),
        0,
        "the service said so itself"
    );
}

/// Where no further session can be started, an old agent's session serves one connection after
/// the other, and late bytes of one never reach the next.
#[tokio::test]
async fn reused_session_serves_connections_one_after_the_other() {
    let (listener, api) = service(false).await;
    let relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, "3.0.196.0").await;
    agent.ready().await;

    let mut first = soon("the first", relay.connect()).await.expect("opens");
    first.write_all(b"one").await.expect("taken");
    let event = soon("its data", agent.event()).await;
    assert!(matches!(event, Some(SessionEvent::Data(data)) if &data[..] == b"one"));
    let second = tokio::spawn(async move {
        let stream = relay.connect().await;
        (relay, stream)
    });
    drop(first);
    let event = soon("the disconnection", agent.event()).await;
    assert!(matches!(event, Some(SessionEvent::Flag(_))), "{event:?}");
    agent.send(b"late bytes of the first");
    let (relay, second) = soon("the second", second).await.expect("no panic");
    let mut second = second.expect("opens");
    second.write_all(b"two").await.expect("taken");
    let event = soon("its data", agent.event()).await;
    assert!(matches!(event, Some(SessionEvent::Data(data)) if &data[..] == b"two"));
    agent.send(b"answer");
    let serving = tokio::spawn(async move { while agent.event().await.is_some() {} });
    let mut answer = [0; 6];
    soon("the answer", second.read_exact(&mut answer))
        .await
        .expect("arrives");
    assert_eq!(&answer, b"answer");
    assert_eq!(api.started.load(Ordering::SeqCst), 1);
    drop(second);
    soon("the end", relay.close()).await;
    assert_eq!(api.terminated.load(Ordering::SeqCst), 1);
    soon("the agent", serving).await.expect("no panic");
}

/// The header of a PSH frame of this many bytes.
fn push(length: usize, stream: u8) -> [u8; 8] {
    [1, 2, length as u8, 0, stream, 0, 0, 0]
}

const OPEN: [u8; 8] = [1, 0, 0, 0, 3, 0, 0, 0];

/// The first message with frames: the frames between headers of stream 0, which is never opened, so
/// that the message does nothing when it is processed again.
fn first_message(frames: &[u8]) -> Vec<u8> {
    [&push(8, 0), &push(frames.len(), 0), frames, &push(8, 0)].concat()
}

/// SYN and PSH of one stream in one message.
fn opening(data: &[u8]) -> Vec<u8> {
    first_message(&[&OPEN, &push(data.len(), 3), data].concat())
}

#[tokio::test]
async fn first_in_process_bytes_share_a_message_with_the_opening() {
    let (listener, api) = service(true).await;
    let relay = relay(api).await;
    let mut agent = Agent::accept(&listener, "3.3.4851.0").await;
    agent.ready().await;
    soon("the handshake", relay.ready()).await.expect("sound");
    // The session's task runs in between, however short the wait for the first bytes.
    tokio::time::pause();
    let mut stream = soon("the stream", relay.connect()).await.expect("opens");
    tokio::task::yield_now().await;
    stream.write_all(b"hello").await.expect("taken");
    tokio::time::resume();
    let event = soon("the stream", agent.event()).await;
    let Some(SessionEvent::Data(data)) = event else {
        panic!("{event:?}")
    };
    assert_eq!(data, opening(b"hello"));
}

#[tokio::test]
async fn held_local_bytes_share_a_message_with_the_opening() {
    let (listener, api) = service(true).await;
    let local = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = local.local_addr().expect("bound");
    let _relay = Relay::open(config(), api, Some(local.into()))
        .await
        .expect("opens");
    let mut program = TcpStream::connect(address).await.expect("accepted");
    program.write_all(b"hello").await.expect("taken");
    let mut agent = Agent::accept(&listener, "3.3.4851.0").await;
    agent.ready().await;
    let event = soon("the stream", agent.event()).await;
    let Some(SessionEvent::Data(data)) = event else {
        panic!("{event:?}")
    };
    assert_eq!(data, opening(b"hello"));
}

#[tokio::test]
async fn immediate_local_bytes_share_a_message_with_the_opening() {
    let (listener, api) = service(true).await;
    let local = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = local.local_addr().expect("bound");
    let relay = Relay::open(config(), api, Some(local.into()))
        .await
        .expect("opens");
    let mut agent = Agent::accept(&listener, "3.3.4851.0").await;
    agent.ready().await;
    soon("the handshake", relay.ready()).await.expect("sound");
    // Blocking, so that the bytes are there before the relay runs.
    let mut program = std::net::TcpStream::connect(address).expect("accepted");
    std::io::Write::write_all(&mut program, b"hello").expect("taken");
    let event = soon("the stream", agent.event()).await;
    let Some(SessionEvent::Data(data)) = event else {
        panic!("{event:?}")
    };
    assert_eq!(data, opening(b"hello"));
}

#[tokio::test]
async fn agent_learns_of_an_unused_stream() {
    let (listener, api) = service(true).await;
    let mut config = config();
    // No other task has anything to send.
    config.limits.tuning.ping_interval = Duration::from_secs(3600);
    let relay = Relay::open(config, api, None).await.expect("opens");
    let mut agent = Agent::accept(&listener, "3.3.4851.0").await;
    agent.ready().await;
    let _stream = soon("the stream", relay.connect()).await.expect("opens");
    let event = soon("the stream", agent.event()).await;
    let Some(SessionEvent::Data(data)) = event else {
        panic!("{event:?}")
    };
    assert_eq!(data, first_message(&OPEN));
}
