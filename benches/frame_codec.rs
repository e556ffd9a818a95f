//! Frames written and read, beside the one cost that nobody can avoid: SHA-256 of the payload.

use std::hint::black_box;
use std::time::Duration;

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

fn frame_codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame_codec");
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
