//! The round trip of 64 bytes: over a plain websocket, and through the relay over the same websocket. Then
//! the same keystroke while an upload on another connection saturates the tunnel.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::time::{Duration, Instant};

use bench_support::{Bare, Curve, Error, Mode, PAYLOAD, Peer, draw, echo, is_full_run, relay};
use bytes::Bytes;
use criterion::{Criterion, criterion_group};
use e2e::{connect, instance, open, sandbox, service, tunnel};
use ssm_relay::{Limits, Relay};
use ssm_tunnel::Tunnel;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const KEYSTROKE: usize = 64;

async fn local(peer: &Peer) -> (TcpStream, Relay<Error>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let relay = relay(&peer.url(), Limits::default(), Some(listener)).await;
    let tcp = TcpStream::connect(address).await.expect("accepted");
    tcp.set_nodelay(true).expect("a TCP socket");
    (tcp, relay)
}

fn round_trips(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("relay_latency/round_trip_64_bytes");
    group.measurement_time(Duration::from_secs(3));

    let peer = Peer::start(Mode::Bare, false, PAYLOAD);
    let mut bare = runtime.block_on(Bare::connect(&peer));
    let message = Bytes::from_static(&[0x5a; KEYSTROKE]);
    group.bench_function("bare_websocket", |b| {
        b.iter(|| runtime.block_on(bare.round(&message)));
    });

    let data = [0x5a; KEYSTROKE];
    let mut back = [0; KEYSTROKE];
    let peer = Peer::start(Mode::Echo, true, PAYLOAD);
    let (mut tcp, _relay) = runtime.block_on(local(&peer));
    group.bench_function("relay", |b| {
        b.iter(|| runtime.block_on(echo(&mut tcp, &data, &mut back)));
    });

    let peer = Peer::start(Mode::Echo, true, PAYLOAD);
    let mut stream = runtime.block_on(async {
        let relay = relay(&peer.url(), Limits::default(), None).await;
        let stream = relay.connect().await.expect("opens");
        (stream, relay)
    });
    group.bench_function("relay_in_process", |b| {
        b.iter(|| {
            runtime.block_on(async {
                stream.0.write_all(&data).await.expect("taken");
                stream.0.read_exact(&mut back).await.expect("comes back");
            });
        });
    });
    group.finish();
}

/// Echoes; with a first byte of 0, reads and discards everything.
async fn echo_or_sink() -> std::net::SocketAddr {
    service(|mut tcp| async move {
        let mut first = [0; 1];
        if tcp.read_exact(&mut first).await.is_err() {
            return;
        }
        let (mut read, mut write) = tcp.split();
        if first == [0] {
            let _ = tokio::io::copy(&mut read, &mut tokio::io::sink()).await;
        } else if write.write_all(&first).await.is_ok() {
            let _ = tokio::io::copy(&mut read, &mut write).await;
        }
    })
    .await
}

/// A saturating upload, until it is aborted.
fn saturate(runtime: &Runtime, tunnel: &Tunnel) -> tokio::task::JoinHandle<()> {
    let address = tunnel.local_addr().expect("a local port");
    runtime.spawn(async move {
        let mut tcp = TcpStream::connect(address).await.expect("accepted");
        let data = vec![0; 64 << 10];
        while tcp.write_all(&data).await.is_ok() {}
    })
}

/// The times of this many round trips, made by a task of the same runtime: a separate thread would measure
/// how the system shares two cores among three busy threads.
fn keystrokes(runtime: &Runtime, tcp: &mut Option<TcpStream>, count: usize) -> Vec<Duration> {
    let mut stream = tcp.take().expect("put back after every use");
    let task = runtime.spawn(async move {
        let data = [0x5a; KEYSTROKE];
        let mut back = [0; KEYSTROKE];
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let start = Instant::now();
            echo(&mut stream, &data, &mut back).await;
            times.push(start.elapsed());
        }
        (times, stream)
    });
    let (times, stream) = runtime.block_on(task).expect("no panic");
    *tcp = Some(stream);
    times
}

/// Like [`keystrokes`], over the plain websocket.
fn bare_rounds(runtime: &Runtime, bare: &mut Option<Bare>, count: usize) -> Vec<Duration> {
    let mut websocket = bare.take().expect("put back after every use");
    let task = runtime.spawn(async move {
        let message = Bytes::from_static(&[0x5a; KEYSTROKE]);
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let start = Instant::now();
            websocket.round(&message).await;
            times.push(start.elapsed());
        }
        (times, websocket)
    });
    let (times, websocket) = runtime.block_on(task).expect("no panic");
    *bare = Some(websocket);
    times
}

fn quantile(sorted: &[Duration], of: f64) -> Duration {
    let at = (sorted.len() as f64 * of) as usize;
    sorted[at.min(sorted.len() - 1)]
}

fn whole_tunnel(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (tunnel, mut tcp, _sandbox) = runtime.block_on(async {
        let sandbox = sandbox(instance(echo_or_sink().await)).await;
        let tunnel = open(tunnel(&sandbox).local_port(0)).await;
        let tcp = Some(connect(&tunnel).await);
        (tunnel, tcp, sandbox)
    });
    let mut group = c.benchmark_group("relay_latency/keystroke_through_the_sandbox");
    group.measurement_time(Duration::from_secs(3));
    let mut rounds = |count: u64| keystrokes(&runtime, &mut tcp, count as usize).iter().sum();
    group.bench_function("idle", |b| b.iter_custom(&mut rounds));
    let upload = saturate(&runtime, &tunnel);
    group.bench_function("under_upload", |b| b.iter_custom(&mut rounds));
    upload.abort();
    group.finish();
}

/// Medians and 99th percentiles: `cargo bench --bench relay_latency -- --ratio` prints only these.
fn ratios(rounds: usize) {
    let runtime = Runtime::new().expect("a runtime");
    let bare_peer = Peer::start(Mode::Bare, false, PAYLOAD);
    let mut bare = Some(runtime.block_on(Bare::connect(&bare_peer)));
    let peer = Peer::start(Mode::Echo, true, PAYLOAD);
    let (tcp, _relay) = runtime.block_on(local(&peer));
    let mut tcp = Some(tcp);
    let (mut direct, mut relayed) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        direct.extend(bare_rounds(&runtime, &mut bare, rounds / 20));
        relayed.extend(keystrokes(&runtime, &mut tcp, rounds / 20));
    }
    direct.sort_unstable();
    relayed.sort_unstable();
    let (direct, relayed) = (quantile(&direct, 0.5), quantile(&relayed, 0.5));
    println!(
        "64 bytes there and back, median: bare websocket {direct:?}, relay {relayed:?}, added {:?}",
        relayed.saturating_sub(direct)
    );

    let (tunnel, mut tcp, _sandbox) = runtime.block_on(async {
        let sandbox = sandbox(instance(echo_or_sink().await)).await;
        let tunnel = open(tunnel(&sandbox).local_port(0)).await;
        let tcp = Some(connect(&tunnel).await);
        (tunnel, tcp, sandbox)
    });
    let mut idle = keystrokes(&runtime, &mut tcp, rounds);
    let upload = saturate(&runtime, &tunnel);
    // Wait until the upload has found its window.
    keystrokes(&runtime, &mut tcp, rounds / 4);
    let mut loaded = keystrokes(&runtime, &mut tcp, rounds);
    upload.abort();
    idle.sort_unstable();
    loaded.sort_unstable();
    for (name, times) in [("idle", &idle), ("under upload", &loaded)] {
        println!(
            "keystroke through the sandbox, {name}: p50 {:?}, p99 {:?}",
            quantile(times, 0.5),
            quantile(times, 0.99)
        );
    }
    println!(
        "p99 under upload is {:.1} times the idle one\n",
        quantile(&loaded, 0.99).as_secs_f64() / quantile(&idle, 0.99).as_secs_f64()
    );
    if is_full_run() {
        let curve = |times: &[Duration]| -> Vec<(f64, f64)> {
            [1.1, 1.5, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
                .map(|one_in| {
                    (
                        one_in,
                        quantile(times, 1.0 - 1.0 / one_in).as_secs_f64() * 1e6,
                    )
                })
                .to_vec()
        };
        let curves: [Curve<'_>; 2] = [("idle", curve(&idle)), ("under upload", curve(&loaded))];
        draw(
            "latency.svg",
            "64 bytes there and back through the sandbox",
            "slower than this is one round trip in",
            "µs",
            &curves,
        );
    }
}

fn relay_latency(c: &mut Criterion) {
    round_trips(c);
    whole_tunnel(c);
}

criterion_group!(benches, relay_latency);

fn main() {
    let alone = std::env::args().any(|argument| argument == "--ratio");
    if !alone {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
    ratios(if alone || is_full_run() { 4000 } else { 400 });
}
