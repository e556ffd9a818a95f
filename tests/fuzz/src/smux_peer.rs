//! One multiplexer whose peer sends frames in any order, while its owner does anything.
//!
//! Promises held after every step:
//! - a stream reads as what its PSHs carried from its SYN to its FIN, until it is closed here;
//! - what goes out are sound frames: SYN, data, FIN of each stream in this order, each stream's data
//!   as written, nothing after its FIN;
//! - what is kept is counted, and every queue is bounded; every timer is in the future once it was
//!   handled.

mod plan;
mod promises;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};
use plan::{Plan, Step};
use ssm_smux::{Keepalive, Mux, MuxConfig, Read, Role, SmuxError, StreamId, WriteError};

/// Most steps of one run.
const STEPS: usize = 200;
/// Streams are few, so that the steps meet.
const IDS: u8 = 16;

/// As for [`super::session`].
pub fn seeds() -> Vec<Vec<u8>> {
    super::session::seeds()
}

/// Runs the steps that `data` describes.
pub fn run(data: &[u8]) {
    let mut unstructured = Unstructured::new(data);
    let Ok(plan) = Plan::arbitrary(&mut unstructured) else {
        return;
    };
    let mut world = World::new(&plan);
    for _ in 0..STEPS {
        if unstructured.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut unstructured) else {
            break;
        };
        world.step(&step);
        world.check();
        if world.dead {
            world.after_the_end();
            return;
        }
    }
    world.finish();
}

#[derive(Debug, Default)]
struct Stream {
    /// What its PSHs carried and was not read.
    arrived: Vec<u8>,
    peer_finished: bool,
    released: bool,
    written: Vec<u8>,
    sent: usize,
    syn_out: bool,
    fin_out: bool,
    /// Something written need not arrive any more.
    dropped: bool,
    told_readable: bool,
}

struct World {
    mux: Mux,
    role: Role,
    config: MuxConfig,
    now: Instant,
    streams: BTreeMap<StreamId, Stream>,
    /// Ids that were used up: closed here, and their FIN is out.
    gone: BTreeSet<StreamId>,
    /// SYNs beyond the limit: each is owed a FIN.
    refused: Vec<StreamId>,
    /// The peer used them again before it could know that they were free, so that a FIN cannot be
    /// attributed.
    reused: BTreeSet<StreamId>,
    /// What was transmitted and holds no whole frame yet.
    rest: BytesMut,
    next_byte: u8,
    dead: bool,
}

impl World {
    fn new(plan: &Plan) -> Self {
        let now = super::start::start();
        let mut config = MuxConfig::default();
        config.max_frame_data = usize::from(plan.max_frame_data);
        config.session_receive_budget = usize::from(plan.budget);
        config.stream_send_buffer = usize::from(plan.send_buffer % 4096);
        config.half_close_quiet = match plan.half_close_quiet {
            Some(ms) => Duration::from_millis(u64::from(ms)),
            None => Duration::MAX,
        };
        config.keepalive = plan.keepalive.map(|(interval, timeout)| Keepalive {
            interval: Duration::from_millis(u64::from(interval)),
            timeout: Duration::from_millis(u64::from(timeout)),
        });
        config.max_streams = usize::from(plan.max_streams);
        let role = if plan.server {
            Role::Server
        } else {
            Role::Client
        };
        Self {
            mux: Mux::new(role, config.clone(), now),
            role,
            config,
            now,
            streams: BTreeMap::new(),
            gone: BTreeSet::new(),
            refused: Vec::new(),
            reused: BTreeSet::new(),
            rest: BytesMut::new(),
            next_byte: 0,
            dead: false,
        }
    }

    fn step(&mut self, step: &Step) {
        let now = self.now;
        match *step {
            Step::Syn { id } => self.peer_opens(any_id(id), 0),
            Step::Fin { id } => self.peer_ends(any_id(id), 0),
            Step::Odd {
                id,
                fin: false,
                length,
            } => self.peer_opens(any_id(id), length),
            Step::Odd {
                id,
                fin: true,
                length,
            } => self.peer_ends(any_id(id), length),
            Step::Nop { length } => self.hand(&frame(3, length, StreamId::new(0)), usize::MAX),
            Step::Psh { id, length, piece } => self.peer_writes(any_id(id), length % 4096, piece),
            Step::Unknown { version, command } => {
                let mut frame = frame(command, 0, any_id(1));
                frame[0] = version;
                if version != 1 || command > 3 {
                    let outcome = self.mux.handle(Bytes::copy_from_slice(&frame), now);
                    let expected = if version == 1 {
                        SmuxError::Command { found: command }
                    } else {
                        SmuxError::Version { found: version }
                    };
                    assert_eq!(outcome, Err(expected));
                    self.dead = true;
                }
            }
            Step::Open => {
                let full = self.mux.stream_count() >= self.config.max_streams;
                match self.mux.open() {
                    Ok(id) => {
                        assert!(!full && !self.gone.contains(&id));
                        assert!(self.streams.insert(id, Stream::default()).is_none());
                    }
                    Err(_) => assert!(full),
                }
            }
            Step::Write { id, length } => self.write(id, usize::from(length % 5000)),
            Step::Read { id, all } => self.read(any_id(id), all),
            Step::Finish { id } => self.mux.finish(any_id(id), now),
            Step::Close { id } => {
                self.mux.close(any_id(id));
                self.release(any_id(id), false);
            }
            Step::Reset { id } => {
                self.mux.reset(any_id(id));
                self.release(any_id(id), true);
            }
            Step::Transmit { most } => self.transmit(usize::from(most % 2048)),
            Step::Wait { ms } => self.wait(now + Duration::from_millis(u64::from(ms))),
            Step::WaitForTimer => {
                if let Some((at, _)) = self.mux.poll_timeout() {
                    self.wait(at.max(now));
                }
            }
            Step::RestartQuiet => self.mux.restart_quiet(now),
            Step::Reconnected => self.mux.reconnected(now),
        }
        self.take_events();
    }

    fn wait(&mut self, until: Instant) {
        self.now = until;
        match self.mux.handle_timeout(until) {
            Ok(()) => {
                let next = self.mux.poll_timeout();
                assert!(next.is_none_or(|(at, _)| at > until), "{next:?} stays due");
            }
            Err(error) => {
                assert!(
                    matches!(error, SmuxError::Silent { .. }) && self.config.keepalive.is_some()
                );
                self.dead = true;
            }
        }
    }

    fn hand(&mut self, bytes: &[u8], piece: usize) {
        for piece in bytes.chunks(piece.clamp(1, bytes.len().max(1))) {
            self.mux
                .handle(Bytes::copy_from_slice(piece), self.now)
                .expect("sound frames");
        }
    }

    fn peer_opens(&mut self, id: StreamId, length: u16) {
        let before = self.mux.stream_count();
        let accepts =
            id.number() != 0 && id.number().is_multiple_of(2) == (self.role == Role::Client);
        let fresh = accepts && self.streams.get(&id).is_none_or(is_over);
        // Half of a FIN may be out.
        let unsure = self.reused.contains(&id) || !self.rest.is_empty();
        let bytes = Bytes::copy_from_slice(&frame(0, length, id));
        match self.mux.handle(bytes, self.now) {
            Ok(()) if self.mux.stream_count() > before => {
                assert!(fresh || unsure, "stream {id} was opened out of turn");
                if self.refused.contains(&id) || unsure {
                    self.refused.retain(|refused| *refused != id);
                    self.reused.insert(id);
                }
                self.streams.insert(
                    id,
                    Stream {
                        syn_out: true,
                        ..Stream::default()
                    },
                );
            }
            Ok(()) if fresh && !self.reused.contains(&id) => {
                assert!(before >= self.config.max_streams, "stream {id} was ignored");
                self.refused.push(id);
            }
            Ok(()) if unsure => {
                self.reused.insert(id);
            }
            Ok(()) => {}
            Err(error) => {
                let limit = self.config.max_streams;
                assert!((fresh || unsure) && before >= limit);
                assert_eq!(error, SmuxError::TooManyStreams { limit });
                self.dead = true;
            }
        }
        // One may be out in part.
        assert!(self.refused.len() <= self.config.max_streams + 1);
    }

    fn peer_ends(&mut self, id: StreamId, length: u16) {
        self.hand(&frame(1, length, id), usize::MAX);
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.peer_finished = true;
            stream.dropped = true;
        }
    }

    fn peer_writes(&mut self, id: StreamId, length: u16, piece: u8) {
        let mut bytes = frame(2, length, id).to_vec();
        for _ in 0..length {
            self.next_byte = self.next_byte.wrapping_add(7);
            bytes.push(self.next_byte);
        }
        self.hand(&bytes, usize::from(piece) * 16);
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.peer_finished
            && !stream.released
        {
            stream
                .arrived
                .extend_from_slice(bytes.get(8..).unwrap_or_default());
        }
    }

    fn write(&mut self, id: u8, length: usize) {
        let id = any_id(id);
        let limit = self.config.stream_send_buffer.max(1);
        let data: Vec<u8> = (0..length).map(|n| (n % 241) as u8).collect();
        let room = self.mux.writable(id);
        match self.mux.write(id, Bytes::from(data.clone())) {
            Ok(()) => {
                assert!(room.is_some_and(|room| length <= room));
                let stream = self.streams.get_mut(&id).expect("it is open");
                assert!(!stream.released && !stream.peer_finished);
                stream.written.extend(data);
            }
            Err(WriteError::TooLong) => assert!(length > limit),
            Err(WriteError::Full) => assert!(room.is_some_and(|room| length > room)),
            Err(WriteError::Closed) => assert_eq!(room, None),
            Err(other) => panic!("{other}"),
        }
    }

    fn read(&mut self, id: StreamId, all: bool) {
        loop {
            let found = self.mux.read(id);
            let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.released) else {
                assert_eq!(found, Read::Unknown);
                return;
            };
            match found {
                Read::Data(data) => {
                    assert!(
                        !data.is_empty() && stream.arrived.starts_with(&data),
                        "other bytes"
                    );
                    stream.arrived.drain(..data.len());
                    if !all {
                        return;
                    }
                }
                Read::Blocked => {
                    assert!(stream.arrived.is_empty() && !stream.peer_finished);
                    stream.told_readable = false;
                    return;
                }
                Read::Finished => {
                    assert!(stream.arrived.is_empty() && stream.peer_finished);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn release(&mut self, id: StreamId, drop_queued: bool) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.released = true;
            stream.dropped |= drop_queued;
            stream.arrived.clear();
        }
    }
}

/// Whether the multiplexer has forgotten it.
fn is_over(stream: &Stream) -> bool {
    stream.released && (stream.fin_out || (stream.dropped && !stream.syn_out))
}

fn any_id(number: u8) -> StreamId {
    StreamId::new(u32::from(number % IDS))
}

fn frame(command: u8, length: u16, id: StreamId) -> [u8; 8] {
    let [l0, l1] = length.to_le_bytes();
    let [s0, s1, s2, s3] = id.number().to_le_bytes();
    [1, command, l0, l1, s0, s1, s2, s3]
}
