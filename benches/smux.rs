//! Bytes of many streams through two multiplexers, beside a plain copy of the same bytes.

use std::hint::black_box;
use std::time::Duration;

use bench_support::{Muxes, PAYLOAD};
use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ssm_smux::Read;

const BYTES: usize = 64 << 10;

fn smux(c: &mut Criterion) {
    let mut group = c.benchmark_group("smux");
    group.measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Bytes(BYTES as u64));
    let data = Bytes::from(vec![0x5a; BYTES]);
    group.bench_function("bare_copy", |b| {
        b.iter(|| {
            for chunk in data.chunks(PAYLOAD) {
                let mut message = BytesMut::with_capacity(PAYLOAD);
                message.extend_from_slice(chunk);
                black_box(message.freeze());
            }
        });
    });
    // The time a message takes must not grow with the streams that are open.
    for idle in [1, 100, 10_000] {
        let mut muxes = Muxes::with_streams(idle);
        let stream = muxes.streams[idle / 2];
        group.bench_function(BenchmarkId::new("one_busy_stream_of", idle), |b| {
            b.iter(|| {
                muxes.client.write(stream, data.clone()).expect("room");
                muxes.pass();
                while let Read::Data(data) = muxes.server.read(stream) {
                    black_box(data);
                }
            });
        });
    }
    group.finish();

    // Nor must opening one.
    let mut group = c.benchmark_group("smux/open_and_close_a_stream");
    for idle in [10, 10_000] {
        let mut muxes = Muxes::with_streams(idle);
        group.bench_function(BenchmarkId::new("beside", idle), |b| {
            b.iter(|| muxes.open_and_close());
        });
    }
    group.finish();
}

criterion_group!(benches, smux);
criterion_main!(benches);
