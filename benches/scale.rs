//! Memory of idle connections: 10,000 streams in one session, 400 local connections, 1,000 tunnels in one
//! process. The peers run in a separate process and the websockets have no TLS, so that only the client
//! counts.
//!
//! Compares the resident set before and after, so it runs on Linux only. Prints the figures and fails beyond
//! its limits: 4 KiB per stream, 8 KiB per local connection, 64 KiB per tunnel.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use bench_support::{relay, serve_all};
use futures_util::future::join_all;
use ssm_relay::Limits;
use tokio::runtime::Runtime;

const STREAMS: usize = 10_000;
const TUNNELS: usize = 1_000;
/// Tunnels opened concurrently, fewer than a listener's backlog. One after the other they would take 27 s,
/// mostly the 25 ms after HandshakeComplete in which an agent may still discard data (`settling_time` in
/// `ssm-protocol`).
const TOGETHER: usize = 100;
/// Local connections: each takes two file descriptors.
const CONNECTIONS: usize = 400;

/// Resident set in bytes; `None` where the system does not report it.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: usize = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

/// Is killed when this value is dropped, even by a panic.
struct Peers(Child);

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts this program again as the peers, and returns their address.
fn peers() -> (Peers, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .arg("--peers")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let mut address = String::new();
    BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut address)
        .expect("an address");
    (Peers(child), address.trim().to_owned())
}

/// Memory per item for `count` items, which must stay alive until the measurement.
fn each<T>(what: &str, count: usize, limit: usize, make: impl FnOnce() -> T) -> T {
    let Some(before) = resident() else {
        println!("{what}: this system does not tell the resident set");
        return make();
    };
    let start = Instant::now();
    let made = make();
    let took = start.elapsed();
    let bytes = resident().unwrap_or(before).saturating_sub(before) / count;
    println!("{count} {what}: {bytes} bytes each (limit {limit}), opened in {took:.2?}");
    assert!(bytes <= limit, "{what} take more than {limit} bytes each");
    made
}

fn main() {
    if std::env::args().any(|argument| argument == "--peers") {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        println!("{}", listener.local_addr().expect("bound"));
        return serve_all(&listener);
    }
    let (_peers, address) = peers();
    let url = format!("ws://{address}/v1/data-channel/s");
    let runtime = Runtime::new().expect("a runtime");
    let first = runtime.block_on(relay(&url, Limits::default(), None));
    // The first ones include one-time costs.
    let warm: Vec<_> = runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..100 {
            streams.push(first.connect().await.expect("opens"));
        }
        streams
    });
    let streams = each("idle streams in one session", STREAMS, 4 << 10, || {
        runtime.block_on(async {
            let mut streams = Vec::with_capacity(STREAMS);
            for _ in 0..STREAMS {
                streams.push(first.connect().await.expect("opens"));
            }
            // Until their SYNs are sent.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            streams
        })
    });
    drop(warm);
    let tunnels = each("idle tunnels", TUNNELS, 64 << 10, || {
        runtime.block_on(async {
            let mut tunnels = Vec::with_capacity(TUNNELS);
            while tunnels.len() < TUNNELS {
                let some = (0..TOGETHER).map(|_| relay(&url, Limits::default(), None));
                tunnels.extend(join_all(some).await);
            }
            tunnels
        })
    });
    let (listener, local) = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback");
        let address = listener.local_addr().expect("bound");
        (
            relay(&url, Limits::default(), Some(listener)).await,
            address,
        )
    });
    let connections = each("idle local connections", CONNECTIONS, 8 << 10, || {
        runtime.block_on(async {
            let mut connections = Vec::with_capacity(CONNECTIONS);
            for _ in 0..CONNECTIONS {
                connections.push(
                    tokio::net::TcpStream::connect(local)
                        .await
                        .expect("accepted"),
                );
            }
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            connections
        })
    });
    drop((connections, listener, tunnels, streams));
}
