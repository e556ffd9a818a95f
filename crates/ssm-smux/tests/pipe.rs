//! Two multiplexers and a byte pipe each way that cuts anywhere: whatever both sides do, data
//! arrives in order, nothing is lost that was to arrive, and every queue stays within its limit.
//!
//! A failing case is printed in its shortest form and kept in `proptest-regressions`, which
//! replays it.

#[path = "pipe/model.rs"]
mod model;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use model::{Act, CHUNK, Pipe, SEND_BUFFER, Side};
use proptest::prelude::*;
use ssm_smux::{Role, StreamId};

#[expect(
    clippy::disallowed_methods,
    reason = "an instant to count from; nothing depends on which"
)]
fn start() -> Instant {
    Instant::now()
}

fn act() -> impl Strategy<Value = Act> {
    let any = || any::<usize>();
    prop_oneof![
        3 => Just(Act::Open),
        12 => (any(), 0..SEND_BUFFER + 100).prop_map(|(stream, length)| Act::Write(stream, length)),
        8 => any().prop_map(Act::Read),
        2 => any().prop_map(Act::Finish),
        1 => any().prop_map(Act::Close),
        1 => any().prop_map(Act::Reset),
        12 => (0_usize..2500).prop_map(Act::Transmit),
        2 => (0_usize..12).prop_map(Act::Transmit),
        12 => (1..=CHUNK).prop_map(Act::Deliver),
        1 => (0_u64..15).prop_map(|seconds| Act::Wait(Duration::from_secs(seconds))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn data_arrives_in_order_whatever_both_sides_do(
        max_frame_data in prop::sample::select(vec![1, 7, 300, 1016, 32768]),
        acts in prop::collection::vec((0_usize..2, act()), 1..250),
    ) {
        let mut pipe = Pipe::new(max_frame_data, start());
        for (side, act) in &acts {
            pipe.act(*side, act);
        }
        pipe.finish();
    }

    #[test]
    fn no_busy_stream_is_served_twice_before_all_others(
        uploads in prop::collection::vec(1..SEND_BUFFER, 2..30),
        maxima in prop::collection::vec(9_usize..3000, 1..50),
        max_frame_data in 20_usize..2000,
    ) {
        let now = start();
        let mut side = Side::new(Role::Client, max_frame_data, now);
        let mut left = BTreeMap::new();
        for length in &uploads {
            let id = side.mux.open().expect("room");
            side.mux.write(id, vec![7; *length].into()).expect("room");
            left.insert(id, *length);
        }
        let mut bytes = BytesMut::new();
        for max in maxima.iter().cycle().take(100_000) {
            if !side.mux.wants_transmit() {
                break;
            }
            side.mux.poll_transmit(&mut bytes, *max);
        }
        // For each stream, how many frames of others came since its last one.
        let mut waited: BTreeMap<StreamId, usize> = BTreeMap::new();
        let mut frames = &bytes[..];
        while let [1, command, l0, l1, s0, s1, s2, s3, rest @ ..] = frames {
            let length = usize::from(u16::from_le_bytes([*l0, *l1]));
            let id = StreamId::new(u32::from_le_bytes([*s0, *s1, *s2, *s3]));
            if *command == 2 {
                for (other, count) in &mut waited {
                    *count += usize::from(*other != id);
                }
                waited.insert(id, 0);
                let left = left.get_mut(&id).expect("one of ours");
                *left -= length;
                if *left == 0 {
                    waited.remove(&id);
                }
                prop_assert!(waited.values().all(|count| *count < uploads.len()));
            }
            frames = &rest[length..];
        }
        prop_assert!(left.values().all(|left| *left == 0));
    }
}
