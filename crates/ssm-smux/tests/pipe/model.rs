//! Two multiplexers, a byte pipe each way, and what must come of whatever both sides do.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ssm_smux::{Mux, MuxConfig, MuxEvent, OpenError, Read, Role, StreamId, WriteError};

const BUDGET: usize = 5000;
pub(super) const SEND_BUFFER: usize = 3000;
const MAX_STREAMS: usize = 40;
/// Most bytes a pipe hands over at once.
pub(super) const CHUNK: usize = 2000;
const QUIET: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) enum Act {
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

pub(super) struct Side {
    pub(super) mux: Mux,
    streams: BTreeMap<StreamId, Half>,
    /// Bytes on their way here.
    inbound: VecDeque<u8>,
    /// At some time it had as many streams as it may, so that it may have refused some.
    was_full: bool,
    /// What this side writes is a sequence, so that a gap or a swap shows.
    next: u64,
}

impl Side {
    pub(super) fn new(role: Role, max_frame_data: usize, now: Instant) -> Self {
        let mut config = MuxConfig::default();
        config.session_receive_budget = BUDGET;
        config.stream_send_buffer = SEND_BUFFER;
        config.max_streams = MAX_STREAMS;
        config.max_frame_data = max_frame_data;
        config.half_close_quiet = QUIET;
        Self {
            mux: Mux::new(role, config, now),
            streams: BTreeMap::new(),
            inbound: VecDeque::new(),
            was_full: false,
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
                MuxEvent::Opened(id) => {
                    assert!(self.streams.insert(id, Half::default()).is_none());
                    assert_eq!(self.mux.accept(), Some(id));
                }
                MuxEvent::GaveUp(id) => self.streams.entry(id).or_default().gave_up = true,
                _ => {}
            }
        }
    }

    fn check_limits(&self) {
        assert!(self.mux.buffered() < BUDGET + CHUNK);
        assert!(self.mux.stream_count() <= MAX_STREAMS);
    }
}

pub(super) struct Pipe {
    sides: [Side; 2],
    now: Instant,
}

impl Pipe {
    pub(super) fn new(max_frame_data: usize, now: Instant) -> Self {
        Self {
            sides: [
                Side::new(Role::Client, max_frame_data, now),
                Side::new(Role::Server, max_frame_data, now),
            ],
            now,
        }
    }

    pub(super) fn act(&mut self, side: usize, act: &Act) {
        match *act {
            Act::Transmit(max) => self.transmit(side, max),
            Act::Deliver(count) => self.sides[side].deliver(count, self.now),
            Act::Wait(duration) => self.wait(duration),
            _ => self.sides[side].act(act, self.now),
        }
        for side in &mut self.sides {
            side.take_events();
            side.was_full |= side.mux.stream_count() >= MAX_STREAMS;
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

    /// Carries everything, compares what was written with what was read, and ends what is left.
    pub(super) fn finish(&mut self) {
        self.settle();
        self.check_streams();
        // Both sides are through: nothing is left, not even of streams that no side closed.
        for side in &mut self.sides {
            for (id, half) in &mut side.streams {
                if matches!(half.ended, Ended::Not | Ended::Finished) {
                    half.ended = Ended::Closed;
                    side.mux.close(*id);
                }
            }
        }
        self.settle();
        for side in &self.sides {
            assert_eq!(side.mux.stream_count(), 0);
            assert_eq!(side.mux.buffered(), 0);
            assert_eq!(side.mux.poll_timeout(), None);
        }
    }

    fn check_streams(&self) {
        let [client, server] = &self.sides;
        for (writer, reader) in [(client, server), (server, client)] {
            for (id, wrote) in &writer.streams {
                let nothing = Half::default();
                let read = reader.streams.get(id).unwrap_or(&nothing);
                assert!(wrote.written.starts_with(&read.read), "stream {id}");
                // Data is lost only where one side said that it does not care any more, or had no room
                // for the stream.
                let refused = reader.was_full && !reader.streams.contains_key(id);
                let dropped = wrote.ended == Ended::Reset
                    || wrote.closed_too_late
                    || matches!(read.ended, Ended::Closed | Ended::Reset)
                    || read.gave_up
                    || refused;
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
