//! Connections spread over several sessions.

use std::time::Duration;

use e2e::{connect, echo, echoed, instance, no_sessions, open, sandbox, soon, tunnel};
use ssm_sandbox::Sandbox;
use ssm_tunnel::{Event, Events, Limits, Tunnel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Echoes one byte, after which the connection has its session.
async fn settled(tcp: &mut TcpStream) {
    soon("an answer", async {
        tcp.write_all(b"x").await.expect("taken");
        assert_eq!(tcp.read_u8().await.expect("an answer"), b'x');
    })
    .await;
}

/// Ended streams wait only briefly for an answer.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.half_close_quiet = Duration::from_millis(20);
    limits
}

/// The tunnel's events, and the number of sessions it started. Counting requests would be wrong:
/// one that fails on its way is retried.
struct Seen {
    events: Events,
    started: usize,
}

impl Seen {
    fn of(tunnel: &Tunnel) -> Self {
        Self {
            events: tunnel.events(),
            started: 0,
        }
    }

    async fn connection_closed(&mut self) {
        let Self { events, started } = self;
        soon("the connection's end", async {
            loop {
                match events.next().await.expect("an open tunnel") {
                    Event::SessionStarted { .. } => *started += 1,
                    Event::ConnectionClosed { .. } => return,
                    _ => {}
                }
            }
        })
        .await;
    }

    /// Closes the tunnel, and returns how many sessions it started.
    async fn at_the_end_of(mut self, tunnel: Tunnel, sandbox: &Sandbox) -> usize {
        soon("closing", tunnel.close()).await.expect("a clean end");
        no_sessions(sandbox).await;
        soon("the last event", async {
            loop {
                match self.events.next().await.expect("one that says so") {
                    Event::SessionStarted { .. } => self.started += 1,
                    Event::Closed { .. } => return,
                    _ => {}
                }
            }
        })
        .await;
        self.started
    }
}

async fn sessions_left(sandbox: &Sandbox, left: usize) {
    soon("idle sessions to be closed", async {
        while sandbox.active_sessions().len() != left {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_get_their_own_sessions_up_to_the_limit() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0).limits(limits()).sessions(3)).await;
    let seen = Seen::of(&tunnel);
    let mut connections = Vec::new();
    for sessions in [1, 2, 3, 3, 3] {
        let mut tcp = connect(&tunnel).await;
        settled(&mut tcp).await;
        assert_eq!(sandbox.active_sessions().len(), sessions);
        connections.push(tcp);
    }
    for (seed, tcp) in connections.into_iter().enumerate() {
        echoed(tcp, seed as u64, 100_000).await;
    }
    assert_eq!(seen.at_the_end_of(tunnel, &sandbox).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_connections_respect_the_session_limit() {
    let sandbox = sandbox(instance(echo().await)).await;
    let tunnel = open(tunnel(&sandbox).local_port(0).limits(limits()).sessions(4)).await;
    let seen = Seen::of(&tunnel);
    let mut connections = Vec::new();
    for _ in 0..16 {
        connections.push(connect(&tunnel).await);
    }
    let mut settling = tokio::task::JoinSet::new();
    for mut tcp in connections {
        settling.spawn(async move {
            settled(&mut tcp).await;
            tcp
        });
    }
    let mut transfers = tokio::task::JoinSet::new();
    for (seed, tcp) in settling.join_all().await.into_iter().enumerate() {
        transfers.spawn(echoed(tcp, seed as u64, 50_000));
    }
    while let Some(transfer) = transfers.join_next().await {
        transfer.expect("every byte came back");
    }
    assert_eq!(seen.at_the_end_of(tunnel, &sandbox).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn consecutive_connections_need_one_session() {
    let sandbox = sandbox(instance(echo().await)).await;
    let builder = tunnel(&sandbox).local_port(0).limits(limits()).sessions(4);
    let tunnel = open(builder).await;
    let mut seen = Seen::of(&tunnel);
    for seed in 0..3 {
        echoed(connect(&tunnel).await, seed, 1000).await;
        seen.connection_closed().await;
    }
    assert_eq!(seen.at_the_end_of(tunnel, &sandbox).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_extra_session_is_closed_and_replaced_on_demand() {
    let sandbox = sandbox(instance(echo().await)).await;
    let mut limits = limits();
    limits.tuning.session_idle = Duration::from_millis(20);
    let builder = tunnel(&sandbox).local_port(0).limits(limits).sessions(2);
    let tunnel = open(builder).await;
    let mut seen = Seen::of(&tunnel);
    let mut first = connect(&tunnel).await;
    settled(&mut first).await;
    for round in 1..3 {
        let mut second = connect(&tunnel).await;
        settled(&mut second).await;
        drop(second);
        seen.connection_closed().await;
        assert_eq!(seen.started, 1 + round);
        sessions_left(&sandbox, 1).await;
        settled(&mut first).await;
    }
    // The first session is never closed for being idle.
    drop(first);
    seen.connection_closed().await;
    assert_eq!(sandbox.active_sessions(), [tunnel.session_id()]);
    settled(&mut connect(&tunnel).await).await;
    assert_eq!(seen.at_the_end_of(tunnel, &sandbox).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_share_the_first_session_when_no_other_starts() {
    let instance = instance(echo().await);
    let sandbox = sandbox(instance.clone()).await;
    let tunnel = open(tunnel(&sandbox).local_port(0).limits(limits()).sessions(2)).await;
    let mut first = connect(&tunnel).await;
    settled(&mut first).await;
    sandbox.set_instance(instance.clone().online(false));
    let mut second = connect(&tunnel).await;
    settled(&mut second).await;
    settled(&mut first).await;
    assert_eq!(sandbox.active_sessions(), [tunnel.session_id()]);
    // The next connection tries again.
    sandbox.set_instance(instance);
    settled(&mut connect(&tunnel).await).await;
    assert_eq!(sandbox.active_sessions().len(), 2);
}
