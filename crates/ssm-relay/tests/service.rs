//! The relay against a service played by hand: what it says, and what becomes of the session.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::SinkExt as _;
use ssm_protocol::Event;
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};
use ssm_relay::End;
use support::{Agent, relay, service, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message as Frame;

/// A service that does not close the websocket after its last word is not waited for.
#[tokio::test(start_paused = true)]
async fn channel_closed_ends_the_session_at_once() {
    let (listener, api) = service(true).await;
    let relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, "3.3.4851.0").await;
    agent.ready().await;
    relay.ready().await.expect("ready");
    let started = tokio::time::Instant::now();
    let closed = Message {
        header: Header {
            message_type: MessageType::ChannelClosed,
            schema_version: 1,
            created_date: Duration::from_secs(1),
            sequence_number: SequenceNumber(0),
            flags: Flags::NONE,
            message_id: MessageId::default(),
            payload_type: PayloadType::None,
        },
        payload: r#"{"Output":"idle for too long"}"#.into(),
    };
    agent
        .websocket
        .send(Frame::Binary(closed.encode()))
        .await
        .expect("taken");
    let ended = tokio::spawn(async move { relay.closed().await });
    // Answers the closing handshake.
    while agent.event().await.is_some() {}
    let end = soon("the end", ended).await.expect("no panic");
    assert!(
        matches!(&end, End::ByService { output } if output == "idle for too long"),
        "{end:?}"
    );
    // Virtual time: it passes only while everybody waits.
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
async fn a_session_that_must_be_reused_serves_one_connection_after_the_other() {
    let (listener, api) = service(false).await;
    let relay = relay(api.clone()).await;
    let mut agent = Agent::accept(&listener, "3.0.196.0").await;
    agent.ready().await;

    let mut first = soon("the first", relay.connect()).await.expect("opens");
    first.write_all(b"one").await.expect("taken");
    let event = soon("its data", agent.event()).await;
    assert!(matches!(event, Some(Event::Data(data)) if &data[..] == b"one"));
    let second = tokio::spawn(async move {
        let stream = relay.connect().await;
        (relay, stream)
    });
    drop(first);
    let event = soon("the disconnection", agent.event()).await;
    assert!(matches!(event, Some(Event::Flag(_))), "{event:?}");
    agent.send(b"late bytes of the first");
    let (relay, second) = soon("the second", second).await.expect("no panic");
    let mut second = second.expect("opens");
    second.write_all(b"two").await.expect("taken");
    let event = soon("its data", agent.event()).await;
    assert!(matches!(event, Some(Event::Data(data)) if &data[..] == b"two"));
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
