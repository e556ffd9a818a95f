//! A long download that arrives message by message: the websocket is read as it becomes readable.

mod support;

use std::time::Duration;

use ssm_relay::End;
use support::{Agent, config, relay_with, service, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

/// An agent that carries one connection, without smux in between.
const BASIC: &str = "3.0.196.0";
/// A message's payload, as long as the agent's own.
const FULL: [u8; 1024] = [7; 1024];

struct Download {
    relay: support::Relay,
    agent: Agent,
    stream: ssm_relay::TunnelStream<support::CallFailed>,
}

impl Download {
    async fn open() -> Self {
        let (listener, api) = service(false).await;
        let mut config = config();
        // Only arriving data may wake the session.
        config.limits.tuning.ping_interval = Duration::from_secs(3600);
        let relay = relay_with(config, api).await;
        let mut agent = Agent::accept(&listener, BASIC).await;
        agent.ready().await;
        let mut stream = soon("connecting", relay.connect()).await.expect("opens");
        stream.write_all(b"go").await.expect("taken");
        agent.received(b"go").await;
        Self {
            relay,
            agent,
            stream,
        }
    }

    /// One message, to the local side and back to its acknowledgement.
    async fn message(&mut self) {
        self.agent.send(&FULL);
        soon("the acknowledgement", self.agent.acknowledged()).await;
        let mut data = [0; FULL.len()];
        let read = soon("the data", self.stream.read_exact(&mut data)).await;
        read.expect("the stream is open");
        assert_eq!(data, FULL);
    }

    async fn messages(&mut self, count: u32) {
        for _ in 0..count {
            self.message().await;
        }
    }
}

/// In virtual time: no timer delays the acknowledgement of a message.
#[tokio::test(start_paused = true)]
async fn each_message_of_a_long_download_is_acknowledged_at_once() {
    let mut download = Download::open().await;
    let started = Instant::now();
    download.messages(40).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn message_after_a_pause_is_processed() {
    let mut download = Download::open().await;
    download.messages(20).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        download.message().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_beside_a_download_gets_its_answer() {
    let mut download = Download::open().await;
    for word in [b"one", b"two"] {
        download.messages(20).await;
        download.stream.write_all(word).await.expect("taken");
        download.agent.received(word).await;
        download.agent.send(word);
        soon("its acknowledgement", download.agent.acknowledged()).await;
        let mut answer = [0; 3];
        let read = soon("the answer", download.stream.read_exact(&mut answer)).await;
        read.expect("the stream is open");
        assert_eq!(&answer, word);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_behind_a_download_is_reported_at_once() {
    let mut download = Download::open().await;
    download.messages(20).await;
    let started = Instant::now();
    let output = "x".repeat(FULL.len());
    let Download {
        relay, mut agent, ..
    } = download;
    agent.close_channel(&output).await;
    let told = tokio::spawn(async move { agent.told_of_the_close().await });
    let end = soon("the end", relay.closed()).await;
    assert!(
        matches!(&end, End::ByService { output: told } if *told == output),
        "{end:?}"
    );
    assert!(soon("the close frame", told).await.expect("no panic"));
    assert_eq!(started.elapsed().as_secs(), 0);
}
