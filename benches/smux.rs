//! Bytes of many streams through two multiplexers, beside a bare copy of the same bytes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ssm_smux::{Config, Mux, Read, Role, StreamId};

const MESSAGE: usize = 1024;
const BYTES: usize = 64 << 10;

fn smux(c: &mut Criterion) {
    let mut group = c.benchmark_group("smux");
    group.measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Bytes(BYTES as u64));
    let data = Bytes::from(vec![0x5a; BYTES]);
    group.bench_function("bare_copy", |b| {
        b.iter(|| {
            for chunk in data.chunks(MESSAGE) {
                let mut message = BytesMut::with_capacity(MESSAGE);
                message.extend_from_slice(chunk);
                black_box(message.freeze());
            }
        });
    });
    // The time a message takes must not grow with the streams that are open.
    for idle in [1, 100, 10_000] {
        let now = Instant::now();
        let mut client = Mux::new(Role::Client, Config::default(), now);
        let mut server = Mux::new(Role::Server, Config::default(), now);
        let streams: Vec<StreamId> = (0..idle).map(|_| client.open().expect("room")).collect();
        let stream = streams[idle / 2];
        pass(&mut client, &mut server, now);
        group.bench_with_input(
            BenchmarkId::new("one_busy_stream_of", idle),
            &stream,
            |b, stream| {
                b.iter(|| {
                    client.write(*stream, data.clone()).expect("room");
                    pass(&mut client, &mut server, now);
                    while let Read::Data(data) = server.read(*stream) {
                        black_box(data);
                    }
                });
            },
        );
    }
    group.finish();

    // Nor must opening one.
    let mut group = c.benchmark_group("smux/open_and_close_a_stream");
    for idle in [10, 10_000] {
        let now = Instant::now();
        let mut client = Mux::new(Role::Client, Config::default(), now);
        let mut server = Mux::new(Role::Server, Config::default(), now);
        for _ in 0..idle {
            client.open().expect("room");
        }
        pass(&mut client, &mut server, now);
        group.bench_function(BenchmarkId::new("beside", idle), |b| {
            b.iter(|| {
                let stream = client.open().expect("room");
                client.close(stream);
                pass(&mut client, &mut server, now);
                while let Some(stream) = server.accept() {
                    server.close(stream);
                }
                pass(&mut server, &mut client, now);
            });
        });
    }
    group.finish();
}

fn pass(client: &mut Mux, server: &mut Mux, now: Instant) {
    while client.wants_transmit() {
        let mut message = BytesMut::with_capacity(MESSAGE);
        client.poll_transmit(&mut message, MESSAGE);
        server.handle(message.freeze(), now).expect("smux");
    }
    while client.poll_event().is_some() {}
    while server.poll_event().is_some() {}
}

criterion_group!(benches, smux);
criterion_main!(benches);
