//! The whole tunnel on loopback against the sandbox (its agent unpaced), beside plain TCP to the
//! same service.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use e2e::{connect, echo, instance, open, sandbox, tunnel};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

const BULK: usize = 1 << 20;

/// Sends `length` bytes to an echo and takes them back.
async fn round(tcp: &mut TcpStream, length: usize) {
    let data = vec![0x5a; length];
    let mut back = vec![0; length];
    let (mut read, mut write) = tcp.split();
    let (sent, received) = tokio::join!(write.write_all(&data), read.read_exact(&mut back));
    sent.expect("taken");
    received.expect("comes back");
}

fn relay_loopback(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (mut bare, mut tunnelled, _keep) = runtime.block_on(async {
        let service = echo().await;
        let sandbox = sandbox(instance(service)).await;
        let tunnel = open(tunnel(&sandbox).local_port(0)).await;
        let bare = TcpStream::connect(service).await.expect("loopback");
        bare.set_nodelay(true).expect("a TCP socket");
        (bare, connect(&tunnel).await, (sandbox, tunnel))
    });
    let mut group = c.benchmark_group("relay_loopback");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(BULK as u64));
    group.bench_function("bare_tcp_echo_1_MiB", |b| {
        b.iter(|| runtime.block_on(round(&mut bare, BULK)));
    });
    group.bench_function("tunnel_echo_1_MiB", |b| {
        b.iter(|| runtime.block_on(round(&mut tunnelled, BULK)));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("bare_tcp_echo_64_bytes", |b| {
        b.iter(|| runtime.block_on(round(&mut bare, 64)));
    });
    group.bench_function("tunnel_echo_64_bytes", |b| {
        b.iter(|| runtime.block_on(round(&mut tunnelled, 64)));
    });
    group.finish();
}

criterion_group!(benches, relay_loopback);
criterion_main!(benches);
