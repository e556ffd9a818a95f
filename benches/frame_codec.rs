//! Writing and reading frames, beside the one unavoidable cost: SHA-256 of the payload.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sha2::{Digest as _, Sha256};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType, SequenceNumber,
};

fn header() -> Header {
    Header {
        message_type: MessageType::InputStreamData,
        schema_version: 1,
        created_date: Duration::from_millis(1_795_000_000_123),
        sequence_number: SequenceNumber(7),
        flags: Flags::NONE,
        message_id: MessageId::default(),
        payload_type: PayloadType::Output,
    }
}

/// The hash is most of a message's cost, and far cheaper with the CPU's own instructions. `sha2`
/// asks for them when it runs, so one build does for every machine; this asks the same.
fn tell_of_sha_instructions() {
    #[cfg(target_arch = "x86_64")]
    let found = std::arch::is_x86_feature_detected!("sha");
    #[cfg(target_arch = "aarch64")]
    let found = std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let found = false;
    let data = vec![0x5a; 64 << 20];
    let start = Instant::now();
    black_box(Sha256::digest(black_box(&data)));
    let rate = data.len() as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("SHA instructions: {found}; SHA-256 takes {rate:.0} MB/s\n");
}

fn frame_codec(c: &mut Criterion) {
    tell_of_sha_instructions();
    let mut group = c.benchmark_group("frame_codec");
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(2));
    for size in [64, 1024, 8192] {
        let payload = vec![0x5a; size];
        let frame = Message {
            header: header(),
            payload: Bytes::from(payload.clone()),
        }
        .encode();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(
            BenchmarkId::new("bare_sha256", size),
            &payload,
            |b, payload| {
                b.iter(|| Sha256::digest(black_box(payload)));
            },
        );
        group.bench_with_input(BenchmarkId::new("seal", size), &payload, |b, payload| {
            let header = header();
            let mut frame = BytesMut::zeroed(PAYLOAD_OFFSET);
            frame.extend_from_slice(payload);
            b.iter(|| header.seal(black_box(&mut frame)));
        });
        group.bench_with_input(BenchmarkId::new("decode", size), &frame, |b, frame| {
            b.iter(|| Message::decode(black_box(frame.clone())).expect("sound"));
        });
    }
    group.finish();
}

criterion_group!(benches, frame_codec);
criterion_main!(benches);
