//! Messages per second through the relay, including local TCP, beside a bare loop that only reads or writes
//! the websocket, hashes, and acknowledges (or waits for acknowledgements). Both use the same peer, which
//! costs almost nothing.
//!
//! `sandbox_*` is the whole tunnel against the sandbox, whose agent shares the machine; its bare limit is
//! plain TCP to the same service.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::time::{Duration, Instant};

use bench_support::{Bare, Error, Mode, PAYLOAD, Peer, relay};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use e2e::{connect, instance, open, sandbox, service, tunnel};
use ssm_relay::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Stream bytes per round: whole smux frames of the agent, and whole messages of the client.
const ROUND: usize = 8 << 20;

fn limits(payload: usize) -> Limits {
    let mut limits = Limits::default();
    limits.tuning.max_payload = payload;
    limits
}

/// A local program connected through the relay, and the values that must stay alive.
async fn local(peer: &Peer, payload: usize) -> (TcpStream, ssm_relay::Relay<Error>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let relay = relay(&peer.url(), limits(payload), Some(listener)).await;
    let mut tcp = TcpStream::connect(address).await.expect("accepted");
    tcp.set_nodelay(true).expect("a TCP socket");
    // The stream is open once its first byte has arrived.
    tcp.write_all(b"x").await.expect("taken");
    tokio::task::block_in_place(|| peer.wait_for(1));
    (tcp, relay)
}

async fn drain(tcp: &mut TcpStream, bytes: u64) {
    let mut buffer = vec![0; 256 << 10];
    let mut left = bytes;
    while left > 0 {
        let count = tcp.read(&mut buffer).await.expect("an open connection");
        assert!(count > 0, "the connection ended early");
        left -= count as u64;
    }
}

fn receive(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("relay_throughput/receive");
    group.sample_size(10);
    group.warm_up_time(Duration::from_secs(1));
    for payload in [PAYLOAD, 8 * PAYLOAD] {
        let messages = (ROUND / payload) as u64;
        group.throughput(Throughput::Elements(messages));
        let peer = Peer::start(Mode::Sink, false, payload);
        let mut bare = runtime.block_on(Bare::connect(&peer));
        group.bench_function(BenchmarkId::new("bare_loop", payload), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    peer.flood(messages);
                    bare.receive(messages).await;
                });
            });
        });
        let peer = Peer::start(Mode::Sink, true, payload);
        let (mut tcp, _relay) = runtime.block_on(async { local(&peer, payload).await });
        group.bench_function(BenchmarkId::new("relay", payload), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    let bytes = peer.flood(messages);
                    drain(&mut tcp, bytes).await;
                });
            });
        });
    }
    group.finish();
}

fn send(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("relay_throughput/send");
    group.sample_size(10);
    group.warm_up_time(Duration::from_secs(1));
    for payload in [PAYLOAD, 8 * PAYLOAD] {
        let messages = (ROUND / payload) as u64;
        let stream_bytes = messages * (payload as u64 - 8);
        group.throughput(Throughput::Elements(messages));
        let peer = Peer::start(Mode::Sink, false, payload);
        let mut bare = runtime.block_on(Bare::connect(&peer));
        let data = vec![0x5a; payload];
        group.bench_function(BenchmarkId::new("bare_loop", payload), |b| {
            b.iter(|| {
                let end = peer.received() + stream_bytes;
                runtime.block_on(bare.send(messages, &data));
                peer.wait_for(end);
            });
        });
        let peer = Peer::start(Mode::Sink, true, payload);
        let (mut tcp, _relay) = runtime.block_on(async { local(&peer, payload).await });
        let data = vec![0x5a; 64 << 10];
        group.bench_function(BenchmarkId::new("relay", payload), |b| {
            b.iter(|| {
                let end = peer.received() + stream_bytes;
                runtime.block_on(async {
                    let mut left = stream_bytes as usize;
                    while left > 0 {
                        let part = left.min(data.len());
                        tcp.write_all(&data[..part]).await.expect("taken");
                        left -= part;
                    }
                });
                peer.wait_for(end);
            });
        });
    }
    group.finish();
}

/// A service that reads or sends the number of bytes named in the first 8, and answers once it has read them.
async fn ordered() -> std::net::SocketAddr {
    service(|mut tcp| async move {
        while let Ok(order) = tcp.read_i64().await {
            let bytes = order.unsigned_abs();
            if order > 0 {
                drain(&mut tcp, bytes).await;
                tcp.write_u8(1).await.expect("taken");
            } else {
                let data = vec![0x5a; 64 << 10];
                let mut left = bytes as usize;
                while left > 0 {
                    let part = left.min(data.len());
                    tcp.write_all(&data[..part]).await.expect("taken");
                    left -= part;
                }
            }
        }
    })
    .await
}

async fn download(tcp: &mut TcpStream, bytes: usize) {
    tcp.write_i64(-(bytes as i64)).await.expect("taken");
    drain(tcp, bytes as u64).await;
}

async fn upload(tcp: &mut TcpStream, data: &[u8]) {
    tcp.write_i64(data.len() as i64).await.expect("taken");
    tcp.write_all(data).await.expect("taken");
    tcp.read_u8().await.expect("an answer");
}

fn whole_tunnel(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (mut bare, mut tunnelled, _keep) = runtime.block_on(async {
        let service = ordered().await;
        let sandbox = sandbox(instance(service)).await;
        let tunnel = open(tunnel(&sandbox).local_port(0)).await;
        let bare = TcpStream::connect(service).await.expect("loopback");
        bare.set_nodelay(true).expect("a TCP socket");
        (bare, connect(&tunnel).await, (sandbox, tunnel))
    });
    let data = vec![0x5a; ROUND / 2];
    let mut group = c.benchmark_group("relay_throughput/sandbox");
    group.sample_size(10);
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Bytes(data.len() as u64));
    for (name, tcp) in [("bare_tcp", &mut bare), ("tunnel", &mut tunnelled)] {
        group.bench_function(format!("download/{name}"), |b| {
            b.iter(|| runtime.block_on(download(tcp, data.len())));
        });
        group.bench_function(format!("upload/{name}"), |b| {
            b.iter(|| runtime.block_on(upload(tcp, &data)));
        });
    }
    group.finish();
}

/// `cargo bench --bench relay_throughput -- --ratio`: the ratios to the bare limits, from alternating rounds,
/// so that a busy machine slows both equally.
fn ratios() {
    const ROUNDS: usize = 25;
    let runtime = Runtime::new().expect("a runtime");
    for payload in [PAYLOAD, 8 * PAYLOAD] {
        let messages = (ROUND / payload) as u64;
        let stream_bytes = messages * (payload as u64 - 8);
        let bare_peer = Peer::start(Mode::Sink, false, payload);
        let mut bare = runtime.block_on(Bare::connect(&bare_peer));
        let peer = Peer::start(Mode::Sink, true, payload);
        let (mut tcp, _relay) = runtime.block_on(async { local(&peer, payload).await });
        let data = vec![0x5a; stream_bytes as usize];
        let mut times = [const { Vec::new() }; 4];
        let mut time = |which: usize, run: &mut dyn FnMut()| {
            let start = Instant::now();
            run();
            times[which].push(start.elapsed().as_secs_f64());
        };
        for _ in 0..ROUNDS {
            time(0, &mut || {
                runtime.block_on(async {
                    bare_peer.flood(messages);
                    bare.receive(messages).await;
                });
            });
            time(1, &mut || {
                runtime.block_on(async {
                    let bytes = peer.flood(messages);
                    drain(&mut tcp, bytes).await;
                });
            });
            time(2, &mut || {
                let end = bare_peer.received() + stream_bytes;
                runtime.block_on(bare.send(messages, &data[..payload]));
                bare_peer.wait_for(end);
            });
            time(3, &mut || {
                let end = peer.received() + stream_bytes;
                runtime.block_on(async { tcp.write_all(&data).await.expect("taken") });
                peer.wait_for(end);
            });
        }
        let rate = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            messages as f64 / times[ROUNDS / 2]
        });
        for (name, bare, relay) in [("receive", rate[0], rate[1]), ("send", rate[2], rate[3])] {
            println!(
                "{name} {payload}: bare {bare:.0}/s, relay {relay:.0}/s, ratio {:.2}",
                relay / bare
            );
        }
    }
}

/// Four downloads over four sessions beside a single one, from an agent at the pace of the real one.
fn parallel_sessions(c: &mut Criterion) {
    const DOWNLOAD: usize = 256 << 10;
    let runtime = Runtime::new().expect("a runtime");
    let (mut connections, _keep) = runtime.block_on(async {
        let sandbox = sandbox(instance(ordered().await).paced(true)).await;
        let tunnel = open(tunnel(&sandbox).local_port(0).sessions(4)).await;
        let mut connections = Vec::new();
        for _ in 0..4 {
            let mut tcp = connect(&tunnel).await;
            download(&mut tcp, 1).await;
            connections.push(tcp);
        }
        (connections, (sandbox, tunnel))
    });
    let mut group = c.benchmark_group("relay_throughput/sessions");
    group.sample_size(10);
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(4));
    for downloads in [1, 4] {
        group.throughput(Throughput::Bytes((downloads * DOWNLOAD) as u64));
        group.bench_function(BenchmarkId::new("paced_downloads", downloads), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    let mut running = tokio::task::JoinSet::new();
                    for mut tcp in connections.drain(..downloads) {
                        running.spawn(async move {
                            download(&mut tcp, DOWNLOAD).await;
                            tcp
                        });
                    }
                    while let Some(tcp) = running.join_next().await {
                        connections.push(tcp.expect("downloaded"));
                    }
                });
            });
        });
    }
    group.finish();
}

fn relay_throughput(c: &mut Criterion) {
    receive(c);
    send(c);
    whole_tunnel(c);
    parallel_sessions(c);
}

criterion_group!(benches, relay_throughput);

fn main() {
    if std::env::args().any(|argument| argument == "--ratio") {
        return ratios();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
