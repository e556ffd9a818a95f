//! Two multiplexers and a byte pipe each way that cuts anywhere: whatever both sides do, data
//! arrives in order, nothing is lost that was to arrive, and every queue stays within its limit.
//!
//! A failing case is printed in its shortest form and kept in `proptest-regressions`, which
//! replays it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use ssm_smux::{Config, Event, Mux, OpenError, Read, Role, StreamId, WriteError};

const BUDGET: usize = 5000;
const SEND_BUFFER: usize = 3000;
const MAX_STREAMS: usize = 40;
/// Most bytes a pipe hands over at once.
const CHUNK: usize = 2000;
const QUIET: Duration = Duration::from_secs(10);

#[expect(
    clippy::disallowed_methods,
    reason = "an instant to count from; nothing depends on which"
)]
fn start() -> Instant {
    Instant::now()
}

#[derive(Debug, Clone)]
enum Act {
    Open,
    Write(usize, usize),
    Read(usize),
    Finish(usize),
    Close(usize),
    Reset(usize),
    Transmit(usize),
    Deliver(usize),
    Wait(Duration),
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

/// What one side did with a stream, and what came of it.
#[derive(Debug, Default)]
struct Half {
    written: Vec<u8>,
    read: Vec<u8>,
    read_to_end: bool,
    ended: Ended,
    gave_up: bool,
    /// When it was closed, the other side's FIN had come already.
    closed_too_late: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Ended {
    #[default]
    Not,
    Finished,
    Closed,
    Reset,
}

struct Side {
    mux: Mux,
    streams: BTreeMap<StreamId, Half>,
    /// Bytes on their way here.
    inbound: VecDeque<u8>,
    /// What this side writes is a sequence, so that a gap or a swap shows.
    next: u64,
}

impl Side {
    fn new(role: Role, max_frame_data: usize, now: Instant) -> Self {
        let mut config = Config::default();
        config.session_receive_budget = BUDGET;
        config.stream_send_buffer = SEND_BUFFER;
        config.max_streams = MAX_STREAMS;
        config.max_frame_data = max_frame_data;
        config.half_close_quiet = QUIET;
        Self {
            mux: Mux::new(role, config, now),
            streams: BTreeMap::new(),
            inbound: VecDeque::new(),
            next: 0,
        }
    }

    fn pick(&self, number: usize) -> Option<StreamId> {
        let count = self.streams.len().max(1);
        self.streams.keys().nth(number % count).copied()
    }

    fn fill(&mut self, length: usize) -> Bytes {
        let from = self.next;
        self.next += length as u64;
        (from..self.next).map(|n| (n % 251) as u8).collect()
    }

    fn read(&mut self, id: StreamId) {
        let half = self.streams.entry(id).or_default();
        loop {
            match self.mux.read(id) {
                Read::Data(data) => {
                    assert!(!half.read_to_end, "data after the end");
                    assert!(!data.is_empty());
                    half.read.extend_from_slice(&data);
                }
                Read::Finished => {
                    half.read_to_end = true;
                    return;
                }
                Read::Blocked => return,
                Read::Unknown => {
                    assert!(matches!(half.ended, Ended::Closed | Ended::Reset));
                    return;
                }
                other => panic!("nothing failed: {other:?}"),
            }
        }
    }

    fn act(&mut self, act: &Act, now: Instant) {
        match *act {
            Act::Open => match self.mux.open() {
                Ok(id) => {
                    assert!(self.streams.insert(id, Half::default()).is_none());
                }
                Err(error) => {
                    assert_eq!(error, OpenError::TooManyStreams);
                    assert!(self.mux.stream_count() >= MAX_STREAMS);
                }
            },
            Act::Write(number, length) => {
                let Some(id) = self.pick(number) else { return };
                let data = self.fill(length);
                let half = self.streams.entry(id).or_default();
                match self.mux.write(id, data.clone()) {
                    Ok(()) => {
                        assert_eq!(half.ended, Ended::Not);
                        half.written.extend_from_slice(&data);
                    }
                    Err(WriteError::TooLong) => assert!(length > SEND_BUFFER),
                    Err(WriteError::Full) => {
                        assert!(self.mux.writable(id).is_some_and(|room| room < length));
                    }
                    Err(WriteError::Closed) => assert_eq!(self.mux.writable(id), None),
                    Err(other) => panic!("{other}"),
                }
            }
            Act::Read(number) => {
                if let Some(id) = self.pick(number) {
                    self.read(id);
                }
            }
            Act::Finish(number) => {
                let Some(id) = self.pick(number) else { return };
                self.mux.finish(id, now);
                let half = self.streams.entry(id).or_default();
                if half.ended == Ended::Not {
                    half.ended = Ended::Finished;
                }
            }
            Act::Close(number) | Act::Reset(number) => {
                let Some(id) = self.pick(number) else { return };
                let half = self.streams.entry(id).or_default();
                if matches!(half.ended, Ended::Not | Ended::Finished) {
                    half.closed_too_late =
                        self.mux.writable(id).is_none() && half.ended == Ended::Not;
                    half.ended = Ended::Closed;
                }
                if matches!(act, Act::Close(_)) {
                    self.mux.close(id);
                } else {
                    half.ended = Ended::Reset;
                    self.mux.reset(id);
                }
            }
            Act::Transmit(_) | Act::Deliver(_) | Act::Wait(_) => {}
        }
    }

    fn deliver(&mut self, count: usize, now: Instant) {
        if self.mux.receive_paused() {
            return;
        }
        let count = count.min(self.inbound.len());
        let chunk: Bytes = self.inbound.drain(..count).collect();
        self.mux.handle(chunk, now).expect("sound frames");
    }

    fn take_events(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            match event {
                Event::Opened(id) => {
                    assert!(self.streams.insert(id, Half::default()).is_none());
                    assert_eq!(self.mux.accept(), Some(id));
                }
                Event::GaveUp(id) => self.streams.entry(id).or_default().gave_up = true,
                _ => {}
            }
        }
    }

    fn check_limits(&self) {
        assert!(self.mux.buffered() < BUDGET + CHUNK);
        assert!(self.mux.stream_count() <= MAX_STREAMS);
    }
}

struct Pipe {
    sides: [Side; 2],
    now: Instant,
}

impl Pipe {
    fn new(max_frame_data: usize) -> Self {
        let now = start();
        Self {
            sides: [
                Side::new(Role::Client, max_frame_data, now),
                Side::new(Role::Server, max_frame_data, now),
            ],
            now,
        }
    }

    fn act(&mut self, side: usize, act: &Act) {
        match *act {
            Act::Transmit(max) => self.transmit(side, max),
            Act::Deliver(count) => self.sides[side].deliver(count, self.now),
            Act::Wait(duration) => self.wait(duration),
            _ => self.sides[side].act(act, self.now),
        }
        for side in &mut self.sides {
            side.take_events();
            side.check_limits();
        }
    }

    fn transmit(&mut self, from: usize, max: usize) {
        let mut bytes = BytesMut::new();
        let side = &mut self.sides[from];
        let wanted = side.mux.wants_transmit();
        let count = side.mux.poll_transmit(&mut bytes, max);
        assert_eq!(count, bytes.len());
        assert!(count <= max);
        assert_eq!(count > 0, wanted && max > 0);
        self.sides[1 - from].inbound.extend(bytes);
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        for side in &mut self.sides {
            side.mux.handle_timeout(self.now).expect("no keep-alive");
            assert!(side.mux.poll_timeout().is_none_or(|(at, _)| at > self.now));
        }
    }

    /// Carries and reads everything, until nothing moves any more.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            for side in 0..2 {
                self.transmit(side, 1024);
                self.act(side, &Act::Deliver(CHUNK));
                let ids: Vec<_> = self.sides[side].streams.keys().copied().collect();
                for id in ids {
                    self.sides[side].read(id);
                }
            }
            let moving = |side: &Side| side.mux.wants_transmit() || !side.inbound.is_empty();
            if !self.sides.iter().any(moving) {
                return;
            }
        }
        panic!("does not settle");
    }

    fn check_streams(&self) {
        let [client, server] = &self.sides;
        for (writer, reader) in [(client, server), (server, client)] {
            for (id, wrote) in &writer.streams {
                let nothing = Half::default();
                let read = reader.streams.get(id).unwrap_or(&nothing);
                assert!(wrote.written.starts_with(&read.read), "stream {id}");
                // Data is lost only where one side said that it does not care any more.
                let dropped = wrote.ended == Ended::Reset
                    || wrote.closed_too_late
                    || matches!(read.ended, Ended::Closed | Ended::Reset)
                    || read.gave_up;
                if !dropped {
                    assert_eq!(read.read.len(), wrote.written.len(), "stream {id}");
                }
                if wrote.ended == Ended::Closed && !dropped {
                    assert!(read.read_to_end, "stream {id}");
                }
                if read.read_to_end {
                    assert_ne!(wrote.ended, Ended::Not, "stream {id}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn data_arrives_in_order_and_none_is_lost_whatever_both_sides_do(
        max_frame_data in prop::sample::select(vec![1, 7, 300, 1016, 32768]),
        acts in prop::collection::vec((0_usize..2, act()), 1..250),
    ) {
        let mut pipe = Pipe::new(max_frame_data);
        for (side, act) in &acts {
            pipe.act(*side, act);
        }
        pipe.settle();
        pipe.check_streams();
        // Both sides are through: nothing is left, not even of streams nobody closed.
        for side in &mut pipe.sides {
            for (id, half) in &mut side.streams {
                if matches!(half.ended, Ended::Not | Ended::Finished) {
                    half.ended = Ended::Closed;
                    side.mux.close(*id);
                }
            }
        }
        pipe.settle();
        for side in &pipe.sides {
            prop_assert_eq!(side.mux.stream_count(), 0);
            prop_assert_eq!(side.mux.buffered(), 0);
            prop_assert_eq!(side.mux.poll_timeout(), None);
        }
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
