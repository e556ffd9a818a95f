use std::time::{Duration, Instant};

use bytes::Bytes;
use ssm_protocol::Session;
use ssm_protocol::payload::Flag;
use ssm_smux::{ByteQueue, StreamId};

use crate::{ForwardConfig, ForwardEvent, StreamRead, StreamWriteError};

/// Basic mode: the messages carry one connection's bytes as they are (old agents, SSH document).
///
/// The agent dials its port at the session's start, says nothing when that connection ends, and
/// dials again at the next byte after DisconnectToPort.
#[derive(Debug)]
pub(super) struct Basic {
    next_id: u32,
    open: Option<Connection>,
    /// What the destination said before the first connection was opened: the agent dials at the
    /// session's start, and some servers speak first.
    early: ByteQueue,
    /// What arrives belongs to the last connection, until the next one's first byte is acknowledged.
    stale: bool,
    /// Number of the message that carries that byte.
    first: Option<u64>,
    /// Number of the DisconnectToPort that is not acknowledged.
    disconnecting: Option<u64>,
    /// Until when the agent may repeat what was lost on the way.
    repeats_until: Option<Instant>,
    /// Bytes that wait to be sent, at most.
    send_buffer: usize,
    /// Bytes received and not read that stop the websocket.
    receive_budget: usize,
    quiet: Duration,
    /// Connections that wait for the open one to end.
    waiting: usize,
    /// DisconnectToPort is due.
    disconnect: bool,
    /// The agent processes a message again if its websocket breaks before it is acknowledged.
    doubles: bool,
}

#[derive(Debug)]
struct Connection {
    id: StreamId,
    received: ByteQueue,
    sending: ByteQueue,
    write_blocked: bool,
    /// The wait for the answer, after local end-of-file.
    half_close: Option<HalfClose>,
    /// Nothing more comes; what was received may still be read.
    finished: bool,
    /// Ended for the sake of the next connection, perhaps before its answer was complete.
    cut_off: bool,
    /// Nothing more is read: flush, then disconnect.
    closing: bool,
    /// The first bytes written, as many as tell SSH.
    first_bytes: Vec<u8>,
    /// The destination may have got some of its bytes twice.
    doubled: bool,
}

/// What either side of SSH says first (RFC 4253, section 4.2).
const SSH: &[u8] = b"SSH-";

impl Connection {
    /// Whether the destination itself notices that bytes came twice: SSH authenticates each of its
    /// packets with its number (RFC 4253, section 6.4).
    fn checks_itself(&self) -> bool {
        self.first_bytes == SSH
    }
}

#[derive(Debug, Clone, Copy)]
struct HalfClose {
    /// When the connection counts as done if nothing more comes, `None` for never.
    until: Option<Instant>,
    /// Something arrived last, or was still on its way.
    active: Instant,
}

/// How long a half-closed connection must have been quiet to make room for one that waits. Local
/// programs that closed their connection look the same, and never read an answer.
const MAKES_ROOM: Duration = Duration::from_secs(1);

/// How long nothing came after a disturbance, before nothing more is repeated. Longer than the agent
/// waits before it sends a message again (1 s, looked at each 100 ms).
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

    /// `None` while a connection is open: there can be one at a time.
    ///
    /// The agent acknowledges DisconnectToPort when it has closed the old one, and messages arrive in
    /// the order in which they were sent: after that nothing of it can come any more. Unless something
    /// on the way broke; then the agent repeats what was lost, one message at a time, and the next
    /// connection has to wait until no more comes.
    pub(super) fn open(&mut self) -> Option<StreamId> {
        let may_come = self.disconnecting.is_some() || self.repeats_until.is_some();
        if self.open.is_some() || self.disconnect || (self.stale && may_come) {
            return None;
        }
        let id = StreamId::new(self.next_id);
        self.next_id = self.next_id.checked_add(1)?;
        self.open = Some(Connection {
            id,
            received: std::mem::take(&mut self.early),
            sending: ByteQueue::default(),
            write_blocked: false,
            half_close: None,
            finished: false,
            cut_off: false,
            closing: false,
            first_bytes: Vec::new(),
            doubled: false,
        });
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
                "discarded bytes of the session's last connection"
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
        // With everything before it: what the agent keeps ahead of a missing message is not done.
        let confirmed = session.stats().confirmed;
        self.disconnecting.take_if(|flag| *flag < confirmed);
        // The old connection is gone already; an older acknowledgement still in doubt says nothing.
        let first = self.first.take_if(|first| session.is_acknowledged(*first));
        if first.is_some() {
            self.stale = false;
        }
    }

    /// The websocket, or the agent's, is down.
    pub(super) fn away(&mut self, now: Instant) {
        self.repeats_until = now.checked_add(NO_REPEATS);
        // The acknowledgement may be lost, and the old connection has long been closed.
        if self.first.take().is_some() {
            self.stale = false;
        }
    }

    /// Something came, or may have come and was not looked at.
    pub(super) fn still_repeats(&mut self, now: Instant) {
        if let Some(until) = &mut self.repeats_until {
            *until = now.checked_add(NO_REPEATS).unwrap_or(*until);
        }
    }

    /// The wait for the answer, if there is one, did not begin before this.
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
            let missing = SSH.len().saturating_sub(open.first_bytes.len());
            let first = data.get(..missing.min(data.len())).unwrap_or_default();
            open.first_bytes.extend_from_slice(first);
            let whole = data.len();
            open.sending.push(data, whole);
        }
        Ok(())
    }

    /// Local end-of-file. The mode has no half-close: the answer may still come.
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

    /// The agent's websocket broke while messages were unacknowledged: it may process one of them a
    /// second time. A connection that does not notice that by itself cannot go on.
    pub(super) fn may_be_doubled(&mut self) -> Option<ForwardEvent> {
        let doubles = self.doubles;
        let open = self
            .open
            .as_mut()
            .filter(|open| doubles && !open.checks_itself())?;
        tracing::warn!(
            stream = %open.id,
            "the agent's websocket broke during an upload, and the agent may pass on bytes twice: \
             the connection is reset"
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

    /// The session ended in order (SSH document): what was received is all there is.
    pub(super) fn end_of_session(&mut self) -> Option<ForwardEvent> {
        let open = self.open.as_mut()?;
        open.finished = true;
        Some(ForwardEvent::Readable(open.id))
    }

    fn disconnect_if_flushed(&mut self) {
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.closing && open.sending.is_empty())
        {
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

    /// When the half-closed connection makes room for one that waits.
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
            // Its local program still reads.
            wait.active = now;
            return None;
        }
        open.finished = true;
        open.cut_off = !over;
        Some(ForwardEvent::Readable(open.id))
    }
}
