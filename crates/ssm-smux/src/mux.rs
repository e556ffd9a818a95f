//! All streams of one session. Here is what its owner does with streams; the peer's side and the
//! clock are in the files below.

mod receiving;
mod sending;
mod timing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Instant;

use bytes::Bytes;

use crate::config::MuxConfig;
use crate::decoder::Decoder;
use crate::error::{OpenError, WriteError};
use crate::event::{MuxEvent, Read};
use crate::repeatable::Repeatable;
use crate::round_robin::RoundRobin;
use crate::stream::{Fin, Stream};
use crate::stream_id::StreamId;
pub use timing::MuxTimer;
use timing::{HalfCloseTimers, Liveness};

/// Which side opened the session: it decides the stream ids, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opens odd ids from 3.
    Client,
    /// Opens even ids from 2. The agent never opens any.
    Server,
}

impl Role {
    fn first_id(self) -> u32 {
        match self {
            Self::Client => 3,
            Self::Server => 2,
        }
    }

    /// Whether the peer may open this id.
    fn accepts(self, id: StreamId) -> bool {
        id.number() != 0 && id.number() % 2 != self.first_id() % 2
    }
}

/// All streams of one session.
///
/// After every call that takes `&mut self`, drain [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event), and take the new [`poll_timeout`](Self::poll_timeout).
///
/// Idle streams cost next to nothing: a lookup among `n` streams takes `O(log n)`.
pub struct Mux {
    role: Role,
    config: MuxConfig,
    next_id: Option<u32>,
    /// An ordered map, so that ids a peer chooses cannot make a lookup slow.
    streams: BTreeMap<StreamId, Stream>,
    decoder: Decoder,
    /// Bytes received and not read, of all streams.
    received: usize,
    /// Opened by the peer, and not taken by [`accept`](Self::accept).
    incoming: RoundRobin,
    /// Opened by the peer beyond the limit: their FIN is due.
    refused: VecDeque<StreamId>,
    /// Our FIN is out and the peer's has not arrived.
    unanswered: BTreeSet<StreamId>,
    /// The latest stream opened here for which the peer sent anything.
    latest_heard: Option<StreamId>,
    /// Ended by the peer before it sent anything for them or for later streams.
    unserved: VecDeque<StreamId>,
    /// Streams with something to send, served in turn.
    ready: RoundRobin,
    /// A stream with little to send was served ahead of one with more.
    overtook: bool,
    /// The rest of a frame that did not fit into the last buffer.
    partial_frame: Bytes,
    /// Bytes of all frames built so far, including `partial_frame`.
    made: u64,
    /// Set if the peer may process a message twice. Frames are then never split.
    repeatable: Option<Repeatable>,
    /// Streams with pending events.
    events: RoundRobin,
    half_close_timers: HalfCloseTimers,
    liveness: Liveness,
    dead: bool,
}

impl Mux {
    /// A session without streams. Values of `config` outside their range are clamped.
    pub fn new(role: Role, config: MuxConfig, now: Instant) -> Self {
        let config = config.in_range();
        Self {
            role,
            next_id: Some(role.first_id()),
            streams: BTreeMap::new(),
            decoder: Decoder::default(),
            received: 0,
            incoming: RoundRobin::default(),
            refused: VecDeque::new(),
            unanswered: BTreeSet::new(),
            latest_heard: None,
            unserved: VecDeque::new(),
            ready: RoundRobin::default(),
            overtook: false,
            partial_frame: Bytes::new(),
            made: 0,
            repeatable: config.repeatable.then(Repeatable::default),
            events: RoundRobin::default(),
            half_close_timers: HalfCloseTimers::new(config.half_close_quiet),
            liveness: Liveness::new(config.keepalive, now),
            dead: false,
            config,
        }
    }

    /// Opens a stream. There is no answer to SYN, so data may be written right away, and goes out
    /// with it.
    ///
    /// # Errors
    /// When there can be no more streams, now or in this session.
    pub fn open(&mut self) -> Result<StreamId, OpenError> {
        if self.dead {
            return Err(OpenError::Dead);
        }
        if self.streams.len() >= self.config.max_streams {
            return Err(OpenError::TooManyStreams);
        }
        let number = self.next_id.ok_or(OpenError::Exhausted)?;
        self.next_id = number.checked_add(2);
        let id = StreamId::new(number);
        let mut stream = Stream::opened_here();
        self.ready.push(id, &mut stream.in_ready);
        self.streams.insert(id, stream);
        Ok(id)
    }

    /// The next stream that the peer opened.
    #[must_use]
    pub fn accept(&mut self) -> Option<StreamId> {
        let id = self.incoming.front()?;
        if let Some(stream) = self.streams.get_mut(&id) {
            self.incoming.remove(&mut stream.in_incoming);
        }
        Some(id)
    }

    /// Takes received bytes of a stream.
    #[must_use]
    pub fn read(&mut self, id: StreamId) -> Read {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.released) else {
            return Read::Unknown;
        };
        match stream.received.pop() {
            Some(data) => {
                self.received -= data.len();
                Read::Data(data)
            }
            None if stream.peer_finished => Read::Finished,
            None if self.dead => Read::Reset,
            None => {
                stream.readable_told = false;
                Read::Blocked
            }
        }
    }

    /// How many bytes [`write`](Self::write) takes now; after a 0, [`MuxEvent::Writable`] follows.
    /// `None` when the stream takes none any more.
    #[must_use]
    pub fn writable(&mut self, id: StreamId) -> Option<usize> {
        let limit = self.config.stream_send_buffer;
        let dead = self.dead;
        let stream = self
            .streams
            .get_mut(&id)
            .filter(|stream| !dead && stream.takes_data())?;
        let room = limit.saturating_sub(stream.sending.len());
        stream.write_blocked |= room == 0;
        Some(room)
    }

    /// Queues data, all or nothing.
    ///
    /// # Errors
    /// When it does not fit now, or never will.
    pub fn write(&mut self, id: StreamId, data: Bytes) -> Result<(), WriteError> {
        let limit = self.config.stream_send_buffer;
        let dead = self.dead;
        let stream = self
            .streams
            .get_mut(&id)
            .filter(|stream| !dead && stream.takes_data())
            .ok_or(WriteError::Closed)?;
        if data.is_empty() {
            return Ok(());
        }
        if data.len() > limit {
            return Err(WriteError::TooLong);
        }
        if data.len() > limit.saturating_sub(stream.sending.len()) {
            stream.write_blocked = true;
            return Err(WriteError::Full);
        }
        let whole = data.len();
        if stream.sending.is_empty() {
            stream.burst = 0;
        }
        stream.burst = stream.burst.saturating_add(whole);
        stream.sending.push(data, whole);
        self.ready.push(id, &mut stream.in_ready);
        Ok(())
    }

    /// Local end-of-file: nothing more is written, reading goes on.
    ///
    /// There is no half-close: the agent closes its connection both ways when it gets FIN. So FIN
    /// is kept back until the peer has sent its own; or, with [`MuxEvent::GaveUp`], until
    /// [`MuxConfig::half_close_quiet`] passed without a byte either way, counted from when the last one
    /// has [reached](Self::confirm) the peer. The stream reads on until the
    /// peer's FIN in both cases.
    ///
    /// A server that, like the agent, ends both ways at once calls [`close`](Self::close) instead.
    pub fn finish(&mut self, id: StreamId, now: Instant) {
        let Some(stream) = self
            .streams
            .get_mut(&id)
            .filter(|stream| !stream.local_finished)
        else {
            return;
        };
        stream.local_finished = true;
        if stream.peer_finished || self.config.half_close_quiet.is_zero() {
            stream.end();
            self.ready.push(id, &mut stream.in_ready);
        } else {
            self.half_close_timers.arm(id, stream, now);
        }
    }

    /// Ends a stream both ways, and forgets it: what is queued goes out, then FIN; what arrives is
    /// discarded.
    pub fn close(&mut self, id: StreamId) {
        self.release(id, false);
    }

    /// Ends a stream both ways at once, and forgets it: what is queued is dropped, FIN goes out;
    /// what arrives is discarded. The peer cannot tell this from [`close`](Self::close): smux has
    /// no abnormal end. If the peer has not been told of the stream, it never will.
    pub fn reset(&mut self, id: StreamId) {
        self.release(id, true);
    }

    fn release(&mut self, id: StreamId, drop_queued: bool) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.released = true;
        stream.write_blocked = false;
        self.received -= stream.received.clear();
        self.half_close_timers.disarm(id, stream);
        self.events.remove(&mut stream.in_events);
        self.incoming.remove(&mut stream.in_incoming);
        stream.dropped |= drop_queued;
        if drop_queued {
            stream.sending.clear();
        }
        if stream.fin == Fin::Sent || (drop_queued && stream.syn_due) {
            self.ready.remove(&mut stream.in_ready);
            self.streams.remove(&id);
        } else {
            stream.end();
            self.ready.push(id, &mut stream.in_ready);
        }
    }

    /// The next event. Call until `None`. Streams that were closed or reset on this side have no more
    /// events.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<MuxEvent> {
        while let Some(id) = self.events.front()
            && let Some(stream) = self.streams.get_mut(&id)
        {
            if let Some(event) = stream.pending_events.take(id) {
                return Some(event);
            }
            self.events.remove(&mut stream.in_events);
        }
        None
    }

    /// The next stream opened here whose FIN was the first that the peer sent of it, before anything
    /// of a stream opened later; also of those that were closed or reset here. Call until `None`; at
    /// most the [`MuxConfig::max_streams`] latest are kept.
    ///
    /// For a peer that serves streams one after the other, in the order of their SYNs: such a stream
    /// may be one that it could not serve.
    #[must_use]
    pub fn poll_unserved(&mut self) -> Option<StreamId> {
        self.unserved.pop_front()
    }

    /// Whether [`MuxConfig::session_receive_budget`] is used up: stop calling
    /// [`handle`](Self::handle) until reads have freed some of it. What is handed in all the same
    /// is kept.
    #[must_use]
    pub fn receive_paused(&self) -> bool {
        self.received >= self.config.session_receive_budget
    }

    /// Bytes received and not read, of all streams.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.received
    }

    /// Streams that were ended here in order and whose end the peer has not answered: until it does,
    /// it may still be writing what they carried. At most the [`MuxConfig::max_streams`] latest count.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Whether the stream was opened, and not closed or reset here.
    #[must_use]
    pub fn is_open(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|stream| !stream.released)
    }

    /// Streams of both sides, with those whose FIN is not out yet.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }
}

#[cfg(test)]
impl Mux {
    /// Goes on from there, as if all numbers before were used.
    pub(crate) fn next_id(&mut self, number: u32) {
        self.next_id = Some(number);
    }
}

/// Shows sizes, no data.
impl fmt::Debug for Mux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux")
            .field("role", &self.role)
            .field("streams", &self.streams.len())
            .field("received", &self.received)
            .field("wants_transmit", &self.wants_transmit())
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}
