use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use ssm_protocol::Session;
use ssm_protocol::payload::Flag;
use ssm_smux::StreamId;

use super::{Event, Read, WriteError};

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
    early: VecDeque<Bytes>,
    early_bytes: usize,
    /// Bytes of the next connection may still belong to the last one.
    stale: Option<Stale>,
    buffer: usize,
    quiet: Duration,
    /// DisconnectToPort is due.
    disconnect: bool,
}

#[derive(Debug)]
struct Connection {
    id: StreamId,
    received: VecDeque<Bytes>,
    received_bytes: usize,
    sending: VecDeque<Bytes>,
    sending_bytes: usize,
    write_blocked: bool,
    /// Local end-of-file: when the connection counts as done if nothing more comes.
    quiet_until: Option<Instant>,
    /// Nothing more comes; what was received may still be read.
    finished: bool,
    /// Nothing more is read: flush, then disconnect.
    closing: bool,
}

/// Until the first byte of a reused session's new connection is acknowledged, what arrives is the
/// old connection's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stale {
    Unsent,
    Sent,
}

impl Basic {
    pub(super) fn new(buffer: usize, quiet: Duration) -> Self {
        Self {
            next_id: 1,
            open: None,
            early: VecDeque::new(),
            early_bytes: 0,
            stale: None,
            buffer,
            quiet,
            disconnect: false,
        }
    }

    /// `None` while a connection is open: there can be one at a time.
    pub(super) fn open(&mut self) -> Option<StreamId> {
        if self.open.is_some() || self.disconnect {
            return None;
        }
        let id = StreamId::new(self.next_id);
        if self.was_used() {
            self.stale = Some(Stale::Unsent);
        }
        self.next_id = self.next_id.checked_add(1)?;
        self.open = Some(Connection {
            id,
            received: std::mem::take(&mut self.early),
            received_bytes: std::mem::take(&mut self.early_bytes),
            sending: VecDeque::new(),
            sending_bytes: 0,
            write_blocked: false,
            quiet_until: None,
            finished: false,
            closing: false,
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

    pub(super) fn handle(&mut self, data: Bytes, now: Instant) -> Option<Event> {
        if self.stale.is_some() {
            tracing::debug!(
                bytes = data.len(),
                "discarded bytes of the session's last connection"
            );
            return None;
        }
        if !self.was_used() {
            self.early_bytes += data.len();
            self.early.push_back(data);
            return None;
        }
        let quiet = self.quiet;
        let open = self
            .open
            .as_mut()
            .filter(|open| !open.closing && !open.finished)?;
        if let Some(until) = &mut open.quiet_until {
            *until = now + quiet;
        }
        open.received_bytes += data.len();
        open.received.push_back(data);
        Some(Event::Readable(open.id))
    }

    /// All that was sent is acknowledged.
    pub(super) fn acknowledged(&mut self) {
        if self.stale == Some(Stale::Sent) {
            self.stale = None;
        }
    }

    pub(super) fn read(&mut self, id: StreamId) -> Read {
        let Some(open) = self.connection(id) else {
            return Read::Finished;
        };
        match open.received.pop_front() {
            Some(data) => {
                open.received_bytes -= data.len();
                Read::Data(data)
            }
            None if open.finished => Read::Finished,
            None => Read::Blocked,
        }
    }

    pub(super) fn writable(&mut self, id: StreamId) -> Option<usize> {
        let buffer = self.buffer;
        let open = self
            .connection(id)
            .filter(|open| !open.finished && open.quiet_until.is_none())?;
        let room = buffer.saturating_sub(open.sending_bytes);
        open.write_blocked |= room == 0;
        Some(room)
    }

    pub(super) fn write(&mut self, id: StreamId, data: Bytes) -> Result<(), WriteError> {
        match self.writable(id) {
            Some(room) if data.len() <= room => {}
            Some(_) => return Err(WriteError::Full),
            None => return Err(WriteError::Closed),
        }
        if let Some(open) = self.connection(id) {
            open.sending_bytes += data.len();
            open.sending.push_back(data);
        }
        Ok(())
    }

    /// Local end-of-file. The mode has no half-close: the answer may still come.
    pub(super) fn finish(&mut self, id: StreamId, now: Instant) {
        let quiet = self.quiet;
        if let Some(open) = self.connection(id) {
            open.quiet_until.get_or_insert(now + quiet);
        }
    }

    pub(super) fn close(&mut self, id: StreamId) {
        if let Some(open) = self.connection(id) {
            open.closing = true;
            open.received.clear();
            open.received_bytes = 0;
            self.disconnect_if_flushed();
        }
    }

    pub(super) fn reset(&mut self, id: StreamId) {
        if self.connection(id).is_some() {
            self.open = None;
            self.disconnect = true;
        }
    }

    /// The session ended in order (SSH document): what was received is all there is.
    pub(super) fn end_of_session(&mut self) -> Option<Event> {
        let open = self.open.as_mut()?;
        open.finished = true;
        Some(Event::Readable(open.id))
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

    pub(super) fn poll_transmit(&mut self, session: &mut Session, now: Instant) -> Option<Event> {
        self.disconnect_if_flushed();
        if self.disconnect {
            session.send_flag(Flag::DisconnectToPort, now);
            self.disconnect = false;
        }
        let buffer = self.buffer;
        let stale = &mut self.stale;
        let open = self.open.as_mut()?;
        if open.sending.is_empty() {
            return None;
        }
        let sent = session.send_with(now, |frame, max| fill(&mut open.sending, frame, max));
        if sent == 0 {
            return None;
        }
        open.sending_bytes -= sent;
        if *stale == Some(Stale::Unsent) {
            *stale = Some(Stale::Sent);
        }
        let writable = open.write_blocked && open.sending_bytes <= buffer / 2;
        if writable {
            open.write_blocked = false;
        }
        writable.then_some(Event::Writable(open.id))
    }

    pub(super) fn received(&self) -> usize {
        self.early_bytes + self.open.as_ref().map_or(0, |open| open.received_bytes)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.open
            .as_ref()
            .filter(|open| !open.finished)?
            .quiet_until
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<Event> {
        let due = self.poll_timeout().is_some_and(|at| at <= now);
        let open = self.open.as_mut().filter(|_| due)?;
        open.finished = true;
        Some(Event::Readable(open.id))
    }
}

fn fill(sending: &mut VecDeque<Bytes>, frame: &mut BytesMut, max: usize) {
    let mut room = max;
    while room > 0
        && let Some(first) = sending.front_mut()
    {
        let take = first.len().min(room);
        frame.extend_from_slice(&first[..take]);
        first.advance(take);
        room -= take;
        if first.is_empty() {
            sending.pop_front();
        }
    }
}
