//! One message in each direction through two state machines, with its acknowledgement, beside the hashes
//! it needs: two of the payload and two of the acknowledgement.

use std::hint::black_box;

use bench_support::Channels;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sha2::{Digest as _, Sha256};
use ssm_protocol::SessionConfig;

fn data_channel(c: &mut Criterion) {
    let mut group = c.benchmark_group("data_channel");
    group.throughput(Throughput::Elements(1));
    let payload = vec![0x5a; 1024];
    let acknowledge = vec![0x5a; 176];
    group.bench_function("bare_hashes_of_a_message", |b| {
        b.iter(|| {
            for _ in 0..2 {
                black_box(Sha256::digest(black_box(&payload)));
                black_box(Sha256::digest(black_box(&acknowledge)));
            }
        });
    });
    let mut channels = Channels::new(SessionConfig::default());
    group.bench_function("message_and_acknowledgement", |b| {
        b.iter(|| {
            channels.send(&payload);
            channels.exchange();
        });
    });
    group.finish();
}

criterion_group!(benches, data_channel);
criterion_main!(benches);
