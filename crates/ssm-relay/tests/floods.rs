//! A gateway that floods, or does not read: other tasks run, closing is bounded, and so is the memory for
//! what the gateway does not read.

mod support;

use std::io::Write as _;
use std::sync::Arc;

use std::time::Duration;

use bytes::Bytes;
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};
use ssm_relay::{End, Event, Events};
use support::{AGENT, Agent, Relay, config, event, relay_with, service_with, soon, works};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The header's second byte: no mask, no data.
const PING: &[u8] = b"\x89\x00";
const PONG: &[u8] = b"\x8a\x00";
const FULL_PING: &[u8; 127] = &{
    let mut frame = [b'x'; 127];
    (frame[0], frame[1]) = (0x89, 125);
    frame
};
const FIRST_FRAGMENT: &[u8] = b"\x02\x00";
const EMPTY_FRAGMENT: &[u8] = b"\x00\x00";
/// A fragmented message of no bytes at all.
const EMPTY_MESSAGE: &[u8] = b"\x02\x00\x80\x00";

/// A message that the client already has, as a websocket frame: it is acknowledged each time.
fn duplicate() -> Vec<u8> {
    let message = Message {
        header: Header {
            message_type: MessageType::OutputStreamData,
            schema_version: 1,
            created_date: Duration::from_secs(1),
            sequence_number: SequenceNumber(0),
            flags: Flags::NONE,
            message_id: MessageId::default(),
            payload_type: PayloadType::Output,
        },
        payload: Bytes::from_static(b"x"),
    };
    let message = message.encode();
    let length = u8::try_from(message.len()).expect("a short message");
    assert!(length < 126);
    [&[0x82, length], &*message].concat()
}

/// A tunnel whose gateway is from now on raw bytes on the returned connection.
async fn raw() -> (Relay, Events, TcpStream) {
    let (listener, api) = service_with(works).await;
    let relay = relay_with(config(), Arc::new(api)).await;
    let events = relay.events();
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    (relay, events, agent.websocket.into_inner())
}

/// Writes `start`, then `flood` again and again, from a thread of its own, until the client is gone.
fn flood_with(
    tcp: TcpStream,
    start: &[u8],
    flood: &[u8],
    read: bool,
) -> std::thread::JoinHandle<()> {
    let mut tcp = tcp.into_std().expect("a socket");
    tcp.set_nonblocking(false).expect("a mode");
    let mut reader = tcp.try_clone().expect("a socket");
    let (start, flood) = (start.to_vec(), flood.repeat(4096));
    std::thread::spawn(move || {
        let drained = read
            .then(|| std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink())));
        let _ = tcp.write_all(&start);
        while tcp.write_all(&flood).is_ok() {}
        if let Some(drained) = drained {
            let _ = drained.join();
        }
    })
}

/// One thread for everything: a task that does not yield would stop the test itself.
async fn survives(start: &[u8], flood: &[u8], read: bool) {
    let (relay, _events, tcp) = raw().await;
    let flooding = flood_with(tcp, start, flood, read);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        tokio::task::yield_now().await;
    }
    let end = soon("closing", relay.close()).await;
    assert!(matches!(end, End::Closed), "{end:?}");
    drop(relay);
    let joined = tokio::task::spawn_blocking(move || flooding.join());
    soon("the flood's end", joined)
        .await
        .expect("runs")
        .expect("no panic");
}

#[tokio::test]
async fn flood_of_pings_does_not_starve_other_tasks() {
    survives(b"", PING, true).await;
}

#[tokio::test]
async fn flood_of_pings_from_a_gateway_that_reads_no_pongs_is_bounded() {
    survives(b"", FULL_PING, false).await;
}

#[tokio::test]
async fn flood_of_pongs_does_not_starve_other_tasks() {
    survives(b"", PONG, true).await;
}

#[tokio::test]
async fn endless_empty_fragments_do_not_starve_other_tasks() {
    survives(FIRST_FRAGMENT, EMPTY_FRAGMENT, true).await;
}

#[tokio::test]
async fn flood_of_duplicates_does_not_starve_other_tasks() {
    survives(b"", &duplicate(), true).await;
}

#[tokio::test(start_paused = true)]
async fn flood_of_empty_messages_ends_the_session() {
    let (relay, _events, mut tcp) = raw().await;
    let flood = EMPTY_MESSAGE.repeat(200);
    // The client may close before it has read all of it.
    let _ = tcp.write_all(&flood).await;
    let end = soon("the end", relay.closed()).await;
    assert!(matches!(end, End::Protocol(_)), "{end:?}");
}

async fn interrupted(events: &mut Events) -> String {
    event(events, "an interruption", |event| match event {
        Event::Interrupted { reason, .. } => Some(reason.clone()),
        _ => None,
    })
    .await
}

/// Once the gateway does not read acknowledgements, it can send only as much as the sockets buffer.
#[tokio::test(start_paused = true)]
async fn gateway_that_reads_nothing_is_read_within_bounds() {
    let (relay, mut events, mut tcp) = raw().await;
    let flood = duplicate().repeat(1000);
    let flooding = tokio::spawn(async move {
        let mut sent = 0_usize;
        while tcp.write_all(&flood).await.is_ok() {
            sent += flood.len();
            assert!(sent < 256 << 20, "the client reads on and on");
        }
    });
    let reason = interrupted(&mut events).await;
    assert!(reason.contains("did not answer a ping"), "{reason}");
    soon("the flood's end", flooding).await.expect("bounded");
    soon("closing", relay.close()).await;
}

#[tokio::test(start_paused = true)]
async fn later_pings_do_not_extend_the_time_for_a_pong() {
    let mut often = config();
    often.limits.tuning.ping_interval = often.limits.tuning.pong_timeout / 10;
    let (listener, api) = service_with(works).await;
    let relay = relay_with(often, Arc::new(api)).await;
    let mut events = relay.events();
    let mut agent = Agent::accept(&listener, AGENT).await;
    agent.ready().await;
    let (mut reads, _writes) = agent.websocket.into_inner().into_split();
    tokio::spawn(async move {
        let mut nowhere = vec![0; 64 << 10];
        while reads.read(&mut nowhere).await.is_ok_and(|read| read > 0) {}
    });
    let reason = interrupted(&mut events).await;
    assert!(reason.contains("did not answer a ping"), "{reason}");
    soon("closing", relay.close()).await;
}

#[tokio::test(start_paused = true)]
async fn data_without_a_pong_does_not_keep_a_websocket() {
    let (relay, mut events, tcp) = raw().await;
    let (mut reads, mut writes) = tcp.into_split();
    tokio::spawn(async move {
        let mut nowhere = vec![0; 64 << 10];
        while reads.read(&mut nowhere).await.is_ok_and(|read| read > 0) {}
    });
    tokio::spawn(async move {
        let data = duplicate();
        while writes.write_all(&data).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let reason = interrupted(&mut events).await;
    assert!(reason.contains("did not answer a ping"), "{reason}");
    soon("closing", relay.close()).await;
}
