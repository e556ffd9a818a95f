//! All streams of one session.
//!
//! This file has the owner's side of the interface; `receive.rs` handles the peer's bytes, `send.rs` builds
//! frames, `timing.rs` has the deadlines, with `half_close.rs` and `keepalive.rs`; `stream.rs` and
//! `round_robin.rs` are the data.

mod half_close;
mod keepalive;
mod receive;
pub(crate) mod round_robin;
mod send;
pub(crate) mod stream;
mod timing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Instant;

use bytes::Bytes;

use crate::config::MuxConfig;
use crate::error::{OpenError, WriteError};
use crate::event::{MuxEvent, Read};
use crate::stream_id::StreamId;
use crate::wire::{Decoder, Repeatable};
use half_close::HalfCloseTimers;
use keepalive::Liveness;
use round_robin::RoundRobin;
use stream::{Fin, Stream};
pub use timing::MuxTimer;

/// The side of the session, which determines the stream ids and nothing else.
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
    /// Unread bytes of all streams.
    received: usize,
    /// Opened by the peer and not yet returned by [`accept`](Self::accept).
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

    /// Opens a stream. SYN is not answered, so data may be written at once and is sent with it.
    ///
    /// # Errors
    /// [`OpenError`] says whether closing a stream or opening another session helps.
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

    /// The next stream that the peer opened, in the order of their SYNs.
    #[must_use]
    pub fn accept(&mut self) -> Option<StreamId> {
        let id = self.incoming.front()?;
        if let Some(stream) = self.streams.get_mut(&id) {
            self.incoming.remove(&mut stream.in_incoming);
        }
        Some(id)
    }

    /// Takes the next received bytes of a stream.
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

    /// The number of bytes that [`write`](Self::write) takes now; after a 0, [`MuxEvent::Writable`] follows.
    /// `None` when the stream takes no more data.
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

    /// Queues all of `data` or nothing.
    ///
    /// # Errors
    /// [`WriteError`] says whether it fits later, would fit in parts, or never does.
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

    /// Local end-of-file: ends writing, while reading continues.
    ///
    /// smux has no half-close, and the agent closes its connection in both directions when it receives FIN.
    /// So FIN is held back until the peer has sent its own; or, with [`MuxEvent::GaveUp`], until
    /// [`MuxConfig::half_close_quiet`] has passed without a byte in either direction, counted from the
    /// [delivery](Self::confirm) of the last one. In both cases the stream can be read until the peer's
    /// FIN.
    ///
    /// A server that ends both directions at once, like the agent, calls [`close`](Self::close) instead.
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

    /// Ends a stream in both directions and forgets it: queued data is sent, then FIN; arriving data is
    /// discarded.
    pub fn close(&mut self, id: StreamId) {
        self.release(id, false);
    }

    /// Ends a stream in both directions at once and forgets it: queued data is dropped, FIN is sent, and
    /// arriving data is discarded. The peer cannot distinguish this from [`close`](Self::close), because
    /// smux has no abnormal end. If the SYN of the stream has not been sent, it never is.
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

    /// The next stream opened here, even if closed or reset since, whose first frame from the peer was FIN
    /// and came before any frame of a later stream. Call until `None`; the latest
    /// [`MuxConfig::max_streams`] are kept.
    ///
    /// For a peer that serves streams one after the other, in the order of their SYNs: it may have been
    /// unable to serve such a stream.
    #[must_use]
    pub fn poll_unserved(&mut self) -> Option<StreamId> {
        self.unserved.pop_front()
    }

    /// Whether [`MuxConfig::session_receive_budget`] is used up: stop calling
    /// [`handle`](Self::handle) until reads have freed some of it. Bytes handed in nevertheless are
    /// kept.
    #[must_use]
    pub fn receive_paused(&self) -> bool {
        self.received >= self.config.session_receive_budget
    }

    /// Unread bytes of all streams.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.received
    }

    /// Number of streams that were closed here, without a reset, and whose FIN the peer has not answered: it
    /// may still be writing their data. The latest [`MuxConfig::max_streams`] count.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Whether the stream was opened and has not been closed or reset here.
    #[must_use]
    pub fn is_open(&self, id: StreamId) -> bool {
        self.streams.get(&id).is_some_and(|stream| !stream.released)
    }

    /// Number of streams of both sides, including those whose FIN is not sent yet.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }
}

#[cfg(test)]
impl Mux {
    /// Continues from there, as if all lower numbers were used.
    pub(crate) fn next_id(&mut self, number: u32) {
        self.next_id = Some(number);
    }
}

/// Shows sizes instead of data.
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
