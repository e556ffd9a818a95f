//! Basic mode: messages carry one connection at a time, as raw bytes.

mod connection;

use std::time::{Duration, Instant};

use bytes::Bytes;
use ssm_protocol::Session;
use ssm_protocol::payload::Flag;
use ssm_smux::{ByteQueue, StreamId};

use connection::{Connection, HalfClose};

use crate::{ForwardConfig, ForwardEvent, StreamRead, StreamWriteError};

/// Basic mode: the messages carry the bytes of one connection (old agents, SSH document).
///
/// The agent connects to its port when the session starts and does not report the end of that
/// connection; it connects again at the first byte after DisconnectToPort.
#[derive(Debug)]
pub(super) struct Basic {
    next_id: u32,
    open: Option<Connection>,
    /// What the destination sent before the first connection was opened: the agent connects when the
    /// session starts, and some servers speak first.
    early: ByteQueue,
    /// What arrives belongs to the previous connection, until the next one's first byte is
    /// acknowledged.
    stale: bool,
    /// Number of the message that carries that byte.
    first: Option<u64>,
    /// Number of the DisconnectToPort that is not acknowledged.
    disconnecting: Option<u64>,
    /// Until when the agent may send again what was lost.
    repeats_until: Option<Instant>,
    /// Maximum bytes that wait to be sent.
    send_buffer: usize,
    /// Bytes received and not read from which on the websocket is not read.
    receive_budget: usize,
    /// How long a half-closed connection waits for more of its answer.
    quiet: Duration,
    /// Connections that wait for the open one to end.
    waiting: usize,
    /// DisconnectToPort is due.
    disconnect: bool,
    /// The agent processes a message again if its websocket breaks before the acknowledgement is out.
    doubles: bool,
}

/// How long a half-closed connection must have been quiet before it makes room for a waiting one. A
/// local program that closed its connection looks the same, and never reads the answer.
const MAKES_ROOM: Duration = Duration::from_secs(1);

/// After an outage, repeats are over once nothing has arrived for this long. Longer than the agent
/// waits before it sends a message again (1 s, checked every 100 ms).
pub(super) const NO_REPEATS: Duration = Duration::from_secs(3);

impl Basic {
    pub(super) fn new(config: &ForwardConfig, doubles: bool) -> Self {
        Self {
            next_id: 1,
            open: None,
            early: ByteQueue::default(),
            stale: false,
            first: None,
            disconnecting: None,
            repeats_until: None,
            send_buffer: config.stream_send_buffer,
            receive_budget: config.session_receive_budget,
            quiet: config.half_close_quiet,
            waiting: 0,
            disconnect: false,
            doubles,
        }
    }

    /// `None` while a connection is open: there is one at a time.
    ///
    /// The agent acknowledges DisconnectToPort once it has closed the old connection, and messages
    /// arrive in the order in which they were sent, so nothing of that connection arrives afterwards.
    /// The exception is an outage: the agent then sends again what was lost, one message at a time,
    /// and the next connection has to wait until the repeats are over.
    pub(super) fn open(&mut self) -> Option<StreamId> {
        let may_come = self.disconnecting.is_some() || self.repeats_until.is_some();
        if self.open.is_some() || self.disconnect || (self.stale && may_come) {
            return None;
        }
        let id = StreamId::new(self.next_id);
        self.next_id = self.next_id.checked_add(1)?;
        self.open = Some(Connection::new(id, std::mem::take(&mut self.early)));
        Some(id)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.open.is_some() || self.disconnect
    }

    pub(super) fn was_used(&self) -> bool {
        self.next_id > 1
    }

    pub(super) fn wants_transmit(&self) -> bool {
        self.disconnect
            || self
                .open
                .as_ref()
                .is_some_and(|open| !open.sending.is_empty())
    }

    fn connection(&mut self, id: StreamId) -> Option<&mut Connection> {
        self.open.as_mut().filter(|open| open.id == id)
    }

    pub(super) fn handle(&mut self, data: Bytes, now: Instant) -> Option<ForwardEvent> {
        self.still_repeats(now);
        if self.stale {
            tracing::debug!(
                bytes = data.len(),
                "discarded bytes of the previous connection"
            );
            return None;
        }
        if !self.was_used() {
            let whole = data.len();
            self.early.push(data, whole);
            return None;
        }
        self.restart_quiet(now, now);
        let open = self
            .open
            .as_mut()
            .filter(|open| !open.closing && !open.finished)?;
        let whole = data.len();
        open.received.push(data, whole);
        Some(ForwardEvent::Readable(open.id))
    }

    /// Messages may have been acknowledged.
    pub(super) fn confirmed(&mut self, session: &Session) {
        // Confirmed means acknowledged with everything before it: the agent may keep a message ahead of
        // a missing one without having processed it.
        let confirmed = session.stats().confirmed;
        self.disconnecting.take_if(|flag| *flag < confirmed);
        // The old connection is closed by then, whatever older acknowledgements are still missing.
        let first = self.first.take_if(|first| session.is_acknowledged(*first));
        if first.is_some() {
            self.stale = false;
        }
    }

    /// The client's or the agent's websocket is down.
    pub(super) fn away(&mut self, now: Instant) {
        self.repeats_until = now.checked_add(NO_REPEATS);
        // The acknowledgement may be lost; the old connection was closed long before.
        if self.first.take().is_some() {
            self.stale = false;
        }
    }

    /// Something arrived, or may have arrived without having been looked at.
    pub(super) fn still_repeats(&mut self, now: Instant) {
        if let Some(until) = &mut self.repeats_until {
            *until = now.checked_add(NO_REPEATS).unwrap_or(*until);
        }
    }

    /// Counts the wait for the answer, if there is one, from `since` at the earliest.
    pub(super) fn restart_quiet(&mut self, since: Instant, now: Instant) {
        let quiet = self.quiet;
        if let Some(wait) = self.half_close_mut() {
            wait.until = wait
                .until
                .and_then(|until| Some(since.checked_add(quiet)?.max(until)));
            wait.active = wait.active.max(now);
        }
    }

    fn half_close_mut(&mut self) -> Option<&mut HalfClose> {
        self.open.as_mut()?.half_close.as_mut()
    }

    /// How many connections wait for the open one to end.
    pub(super) fn set_waiting(&mut self, waiting: usize) {
        self.waiting = waiting;
    }

    pub(super) fn read(&mut self, id: StreamId) -> StreamRead {
        let Some(open) = self.connection(id) else {
            return StreamRead::Finished;
        };
        if open.doubled {
            return StreamRead::Doubled;
        }
        match open.received.pop() {
            Some(data) => StreamRead::Data(data),
            None if open.cut_off => StreamRead::Reset,
            None if open.finished => StreamRead::Finished,
            None => StreamRead::Blocked,
        }
    }

    pub(super) fn writable(&mut self, id: StreamId) -> Option<usize> {
        let buffer = self.send_buffer;
        let open = self
            .connection(id)
            .filter(|open| !open.finished && open.half_close.is_none())?;
        let room = buffer.saturating_sub(open.sending.len());
        open.write_blocked |= room == 0;
        Some(room)
    }

    pub(super) fn write(&mut self, id: StreamId, data: Bytes) -> Result<(), StreamWriteError> {
        match self.writable(id) {
            Some(room) if data.len() <= room => {}
            Some(_) => return Err(StreamWriteError::Full),
            None => return Err(StreamWriteError::Closed),
        }
        if let Some(open) = self.connection(id) {
            open.write(data);
        }
        Ok(())
    }

    /// Local end-of-file. Basic mode has no half-close, and the answer may still arrive.
    pub(super) fn finish(&mut self, id: StreamId, now: Instant) {
        let quiet = self.quiet;
        if let Some(open) = self.connection(id) {
            open.half_close.get_or_insert(HalfClose {
                until: now.checked_add(quiet),
                active: now,
            });
        }
    }

    pub(super) fn close(&mut self, id: StreamId) {
        if let Some(open) = self.connection(id) {
            open.closing = true;
            open.received.clear();
            self.disconnect_if_flushed();
        }
    }

    pub(super) fn reset(&mut self, id: StreamId) {
        if self.connection(id).is_some() {
            self.open = None;
            self.disconnect = true;
        }
    }

    /// The agent's websocket broke while messages were unacknowledged, so the agent may process one of
    /// them a second time. A connection that would not detect that cannot go on.
    pub(super) fn may_be_doubled(&mut self) -> Option<ForwardEvent> {
        let doubles = self.doubles;
        let open = self
            .open
            .as_mut()
            .filter(|open| doubles && !open.detects_duplicates())?;
        tracing::warn!(
            stream = %open.id,
            "the agent's websocket broke during an upload, and the agent may send bytes to the \
             destination twice: the connection is reset"
        );
        open.doubled = true;
        open.finished = true;
        open.sending.clear();
        open.received.clear();
        Some(ForwardEvent::Readable(open.id))
    }

    pub(super) fn is_doubled(&self, id: StreamId) -> bool {
        let open = self.open.as_ref().filter(|open| open.id == id);
        open.is_some_and(|open| open.doubled)
    }

    /// The session ended in order (SSH document): everything has been received.
    pub(super) fn end_of_session(&mut self) -> Option<ForwardEvent> {
        let open = self.open.as_mut()?;
        open.finished = true;
        Some(ForwardEvent::Readable(open.id))
    }

    fn disconnect_if_flushed(&mut self) {
        if self.open.as_ref().is_some_and(Connection::is_flushed) {
            self.open = None;
            self.disconnect = true;
        }
    }

    pub(super) fn poll_transmit(
        &mut self,
        session: &mut Session,
        now: Instant,
    ) -> Option<ForwardEvent> {
        self.disconnect_if_flushed();
        if self.disconnect {
            self.disconnecting = Some(session.stats().sent);
            session.send_flag(Flag::DisconnectToPort, now);
            self.disconnect = false;
            self.stale = true;
            self.first = None;
        }
        let buffer = self.send_buffer;
        let open = self.open.as_mut()?;
        if open.sending.is_empty() {
            return None;
        }
        let number = session.stats().sent;
        let sent = session.send_with(now, |frame, max| open.sending.copy_to(frame, max));
        if sent == 0 {
            return None;
        }
        if self.stale && self.first.is_none() {
            self.first = Some(number);
        }
        let writable = open.write_blocked && open.sending.len() <= buffer / 2;
        if writable {
            open.write_blocked = false;
        }
        writable.then_some(ForwardEvent::Writable(open.id))
    }

    pub(super) fn received(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.received.len());
        self.early.len().saturating_add(open)
    }

    pub(super) fn receive_paused(&self) -> bool {
        self.received() >= self.receive_budget
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.open.is_none() {
            return self.repeats_until;
        }
        self.quiet_until()
    }

    /// When the wait for the answer is over.
    fn quiet_until(&self) -> Option<Instant> {
        let open = self.open.as_ref().filter(|open| !open.finished)?;
        let until = open.half_close?.until;
        [until, self.makes_room_at()].into_iter().flatten().min()
    }

    /// When the half-closed connection makes room for a waiting one.
    fn makes_room_at(&self) -> Option<Instant> {
        let wait = self
            .open
            .as_ref()?
            .half_close
            .filter(|_| self.waiting > 0)?;
        let at = wait.active.checked_add(MAKES_ROOM)?;
        Some(self.repeats_until.map_or(at, |repeats| repeats.max(at)))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<ForwardEvent> {
        self.repeats_until.take_if(|until| *until <= now);
        let due = self.quiet_until().is_some_and(|at| at <= now);
        let open = self.open.as_mut().filter(|_| due)?;
        let wait = open.half_close.as_mut()?;
        let over = wait.until.is_some_and(|until| until <= now);
        if !over && !open.received.is_empty() {
            // The local program is still reading.
            wait.active = now;
            return None;
        }
        open.finished = true;
        open.cut_off = !over;
        Some(ForwardEvent::Readable(open.id))
    }
}
