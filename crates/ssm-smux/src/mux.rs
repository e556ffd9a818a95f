use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::config::Config;
use crate::error::{OpenError, SmuxError, WriteError};
use crate::frame::{Command, Decoder, HEADER, Header, MAX_DATA, Piece, StreamId};
use crate::stream::Stream;

/// Which side opened the session: it decides the stream ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opens odd ids from 3.
    Client,
    /// Opens even ids from 2. The agent never opens any.
    Server,
}

/// A fact about a stream. Each is queued at most once a stream until it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer opened it.
    Opened(StreamId),
    /// There is data to [`Mux::read`].
    Readable(StreamId),
    /// After [`WriteError::Full`] or a [`Mux::writable`] of 0: there is room again.
    Writable(StreamId),
    /// The peer ended it; what came before may still be read.
    Finished(StreamId),
}

/// What [`Mux::read`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Read {
    /// The next bytes.
    Data(Bytes),
    /// Nothing yet: [`Event::Readable`] or [`Event::Finished`] follows.
    Blocked,
    /// The peer ended the stream and everything was read.
    Finished,
    /// There is no such stream: never opened, or closed or reset on this side.
    Unknown,
}

/// Why a multiplexer wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timer {
    /// When the next NOP is due.
    KeepaliveSend,
    /// When the silent peer counts as dead.
    KeepaliveDead,
    /// When a finished stream has waited long enough for the answer.
    HalfClose,
}

/// All streams of one session.
///
/// After every call that takes `&mut self`, drain [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event), and take the new [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Mux {
    role: Role,
    config: Config,
    next_id: Option<u32>,
    streams: BTreeMap<StreamId, Stream>,
    decoder: Decoder,
    /// Streams with something to send, served in turn.
    ready: VecDeque<StreamId>,
    /// Streams reset with their SYN sent: their FIN is due.
    fins: VecDeque<StreamId>,
    /// Streams closed here whose end the peer has not answered.
    unanswered: BTreeSet<StreamId>,
    /// What did not fit into the last buffer.
    rest: Bytes,
    nop_due: bool,
    accepted: VecDeque<StreamId>,
    events: VecDeque<Event>,
    received: usize,
    quiet: BTreeSet<(Instant, StreamId)>,
    keepalive_at: Instant,
    heard_at: Instant,
    dead: bool,
}

impl Mux {
    /// A session without streams.
    pub fn new(role: Role, config: Config, now: Instant) -> Self {
        Self {
            role,
            next_id: Some(match role {
                Role::Client => 3,
                Role::Server => 2,
            }),
            streams: BTreeMap::new(),
            decoder: Decoder::default(),
            ready: VecDeque::new(),
            fins: VecDeque::new(),
            unanswered: BTreeSet::new(),
            rest: Bytes::new(),
            nop_due: false,
            accepted: VecDeque::new(),
            events: VecDeque::new(),
            received: 0,
            quiet: BTreeSet::new(),
            keepalive_at: now + config.keepalive.unwrap_or_default().interval,
            heard_at: now,
            dead: false,
            config,
        }
    }

    /// Opens a stream: its SYN goes out with its first data if that is written right away.
    ///
    /// # Errors
    /// When there can be no more streams.
    pub fn open(&mut self) -> Result<StreamId, OpenError> {
        if self.dead {
            return Err(OpenError::Dead);
        }
        if self.streams.len() >= self.config.max_streams {
            return Err(OpenError::TooManyStreams);
        }
        let id = self.next_id.ok_or(OpenError::Exhausted)?;
        self.next_id = id.checked_add(2);
        let id = StreamId::new(id);
        self.streams.insert(id, Stream::opened_here());
        self.enqueue(id);
        Ok(id)
    }

    /// The next stream that the peer opened.
    pub fn accept(&mut self) -> Option<StreamId> {
        self.accepted.pop_front()
    }

    /// Takes the next bytes of the peer, in any pieces. Data is kept without copying, except where
    /// it is a few bytes.
    ///
    /// # Errors
    /// When they are not smux version 1; the session is dead then.
    pub fn handle(&mut self, data: Bytes, now: Instant) -> Result<(), SmuxError> {
        if self.dead {
            return Err(SmuxError::Dead);
        }
        self.heard_at = now;
        let mut input = data;
        loop {
            match self.decoder.next(&mut input) {
                Ok(Some(Piece::Frame(header))) => self.handle_frame(header),
                Ok(Some(Piece::Data(header, data))) => self.handle_data(header, data, now),
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.dead = true;
                    return Err(error);
                }
            }
        }
    }

    fn handle_frame(&mut self, header: Header) {
        let id = header.stream;
        match header.command {
            Command::Syn => {
                if self.streams.contains_key(&id) || self.streams.len() >= self.config.max_streams {
                    tracing::debug!(stream = %id, "ignored SYN");
                    return;
                }
                self.streams.insert(id, Stream::default());
                self.accepted.push_back(id);
                self.events.push_back(Event::Opened(id));
            }
            Command::Fin => {
                self.unanswered.remove(&id);
                let Some(stream) = self.streams.get_mut(&id) else {
                    return;
                };
                if stream.closing {
                    // Both sides are done; the FIN that was due would name an unknown stream.
                    self.remove(id);
                } else if !stream.peer_finished {
                    stream.peer_finished = true;
                    stream.discard_sending();
                    if let Some(at) = stream.quiet_until {
                        self.quiet.remove(&(at, id));
                    }
                    self.events.push_back(Event::Finished(id));
                }
            }
            Command::Psh | Command::Nop => {}
        }
    }

    fn handle_data(&mut self, header: Header, data: Bytes, now: Instant) {
        let Some(stream) = self.streams.get_mut(&header.stream).filter(|stream| {
            header.command == Command::Psh && !stream.closing && !stream.peer_finished
        }) else {
            tracing::trace!(stream = %header.stream, "discarded data");
            return;
        };
        if let Some(at) = &mut stream.quiet_until {
            self.quiet.remove(&(*at, header.stream));
            *at = now + self.config.half_close_quiet;
            self.quiet.insert((*at, header.stream));
        }
        self.received += data.len();
        stream.receive(data);
        if !stream.readable_announced {
            stream.readable_announced = true;
            self.events.push_back(Event::Readable(header.stream));
        }
    }

    /// Takes received bytes of a stream.
    pub fn read(&mut self, id: StreamId) -> Read {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.closing) else {
            return Read::Unknown;
        };
        match stream.read() {
            Some(data) => {
                self.received -= data.len();
                Read::Data(data)
            }
            None if stream.peer_finished => Read::Finished,
            None => {
                stream.readable_announced = false;
                Read::Blocked
            }
        }
    }

    /// How many bytes [`write`](Self::write) takes now; after a 0, [`Event::Writable`] follows.
    /// `None` when the stream takes none any more.
    pub fn writable(&mut self, id: StreamId) -> Option<usize> {
        let stream = self
            .streams
            .get_mut(&id)
            .filter(|stream| !stream.is_write_closed())?;
        let room = self
            .config
            .stream_send_buffer
            .saturating_sub(stream.sending_bytes);
        stream.write_blocked |= room == 0;
        Some(room)
    }

    /// Queues data, all or nothing.
    ///
    /// # Errors
    /// When it does not fit now, or never will.
    pub fn write(&mut self, id: StreamId, data: Bytes) -> Result<(), WriteError> {
        let buffer = self.config.stream_send_buffer;
        let stream = self
            .streams
            .get_mut(&id)
            .filter(|stream| !stream.is_write_closed())
            .ok_or(WriteError::Closed)?;
        if data.is_empty() {
            return Ok(());
        }
        if stream.sending_bytes + data.len() > buffer {
            stream.write_blocked = true;
            return Err(WriteError::Full);
        }
        stream.push(data);
        self.enqueue(id);
        Ok(())
    }

    /// Local end-of-file. There is no half-close, so the FIN is kept back: until the peer ended the
    /// stream (then none is needed), [`close`](Self::close) or [`reset`](Self::reset), or until
    /// [`Config::half_close_quiet`] passed without data; then the stream reads as finished.
    pub fn finish(&mut self, id: StreamId, now: Instant) {
        let at = now + self.config.half_close_quiet;
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.is_write_closed()
        {
            stream.quiet_until = Some(at);
            self.quiet.insert((at, id));
        }
    }

    /// Ends a stream both ways: what is queued goes out, then FIN; what arrives is discarded.
    pub fn close(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.closing {
            return;
        }
        self.received -= stream.discard_received();
        if stream.peer_finished {
            self.remove(id);
            if self.role == Role::Server {
                // The client has forgotten the stream, but waits for this: everything was written.
                self.fins.push_back(id);
            }
            return;
        }
        stream.closing = true;
        if let Some(at) = stream.quiet_until.take() {
            self.quiet.remove(&(at, id));
        }
        self.enqueue(id);
    }

    /// Ends a stream both ways at once: what is queued is dropped, FIN goes out, what arrives is
    /// discarded.
    pub fn reset(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        let known_to_peer = !stream.syn && !stream.peer_finished;
        self.remove(id);
        if known_to_peer {
            self.fins.push_back(id);
        }
    }

    fn remove(&mut self, id: StreamId) {
        if let Some(mut stream) = self.streams.remove(&id) {
            self.received -= stream.discard_received();
            if let Some(at) = stream.quiet_until {
                self.quiet.remove(&(at, id));
            }
        }
    }

    fn enqueue(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.queued
        {
            stream.queued = true;
            self.ready.push_back(id);
        }
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something to append.
    pub fn wants_transmit(&self) -> bool {
        !self.dead
            && (self.nop_due
                || !self.rest.is_empty()
                || !self.fins.is_empty()
                || !self.ready.is_empty())
    }

    /// Appends up to `max` bytes of frames, and returns how many. Streams are served in turn; a
    /// frame that is cut at `max` goes on in the next call.
    pub fn poll_transmit(&mut self, to: &mut BytesMut, max: usize) -> usize {
        let start = to.len();
        let end = start.saturating_add(max);
        let rest = self.rest.split_to(self.rest.len().min(max));
        to.extend_from_slice(&rest);
        while to.len() < end && self.wants_transmit() && self.rest.is_empty() {
            let room = end - to.len();
            if room < HEADER + 1 {
                // A header is cut like any other bytes.
                let mut frame = BytesMut::new();
                self.emit(&mut frame, 1);
                self.rest = frame.freeze();
                let part = self.rest.split_to(self.rest.len().min(room));
                to.extend_from_slice(&part);
            } else {
                self.emit(to, room - HEADER);
            }
        }
        to.len() - start
    }

    /// Appends the next frame, with at most `max` bytes of data.
    fn emit(&mut self, to: &mut BytesMut, max: usize) {
        let control = |command, stream| Header {
            command,
            length: 0,
            stream,
        };
        if std::mem::take(&mut self.nop_due) {
            control(Command::Nop, StreamId::new(0)).write(to);
            return;
        }
        if let Some(id) = self.fins.pop_front() {
            control(Command::Fin, id).write(to);
            return;
        }
        let Some(id) = self.ready.pop_front() else {
            return;
        };
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.queued = false;
        if stream.syn {
            stream.syn = false;
            control(Command::Syn, id).write(to);
            if stream.sending_bytes > 0 || stream.closing {
                // First in line, so that SYN and first data share a message.
                stream.queued = true;
                self.ready.push_front(id);
            }
            return;
        }
        let limit = self.config.max_frame_data.clamp(1, MAX_DATA).min(max);
        let length = stream.sending_bytes.min(limit);
        if length > 0 {
            Header {
                command: Command::Psh,
                length: length as u16,
                stream: id,
            }
            .write(to);
            stream.send(to, length);
        }
        if stream.write_blocked && stream.sending_bytes <= self.config.stream_send_buffer / 2 {
            stream.write_blocked = false;
            self.events.push_back(Event::Writable(id));
        }
        if stream.sending_bytes > 0 {
            self.enqueue(id);
        } else if stream.closing {
            self.remove(id);
            self.fins.push_back(id);
            self.unanswered.insert(id);
            if self.unanswered.len() > self.config.max_streams {
                self.unanswered.pop_first();
            }
        }
    }

    /// The next fact. Call until `None`.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether the receive budget is used up: stop calling [`handle`](Self::handle) until reads
    /// have freed some of it.
    pub fn receive_paused(&self) -> bool {
        self.received >= self.config.session_receive_budget
    }

    /// Bytes received and not read, of all streams.
    pub fn buffered(&self) -> usize {
        self.received
    }

    /// Streams closed on this side whose end the peer has not answered: it may still be writing
    /// what they carried.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Streams that are open on this side.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why. May change after every call
    /// that takes `&mut self`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        if self.dead {
            return None;
        }
        let quiet = self.quiet.first().map(|(at, _)| (*at, Timer::HalfClose));
        let keepalive = self.config.keepalive.map(|keepalive| {
            let dead = (self.heard_at + keepalive.timeout, Timer::KeepaliveDead);
            dead.min((self.keepalive_at, Timer::KeepaliveSend))
        });
        quiet.into_iter().chain(keepalive).min()
    }

    /// Time has passed. Calls that come early or twice are harmless.
    ///
    /// # Errors
    /// When the peer was silent for too long; the session is dead then.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SmuxError> {
        while let Some((at, timer)) = self.poll_timeout()
            && at <= now
        {
            match (timer, self.config.keepalive) {
                (Timer::KeepaliveDead, Some(keepalive)) => {
                    self.dead = true;
                    return Err(SmuxError::Silent {
                        after: keepalive.timeout,
                    });
                }
                (Timer::KeepaliveSend, Some(keepalive)) => {
                    self.nop_due = true;
                    self.keepalive_at = now + keepalive.interval;
                }
                _ => self.end_quiet_stream(),
            }
        }
        Ok(())
    }

    /// The answer is in, as far as anybody can tell: FIN, and the local side reads the end.
    fn end_quiet_stream(&mut self) {
        let Some((_, id)) = self.quiet.pop_first() else {
            return;
        };
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.sending_bytes > 0 || stream.syn {
            // What was written is not even sent yet.
            return self.requeue_quiet(id);
        }
        stream.peer_finished = true;
        self.fins.push_back(id);
        self.events.push_back(Event::Finished(id));
    }

    fn requeue_quiet(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && let Some(at) = &mut stream.quiet_until
        {
            *at += self.config.half_close_quiet;
            self.quiet.insert((*at, id));
        }
    }
}
