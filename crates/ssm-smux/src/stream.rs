use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Buf as _, Bytes, BytesMut};

/// Chunks smaller than this are copied together, so that a few bytes never keep a whole message
/// alive.
const SMALL: usize = 256;

/// One stream: what was received and not read, what was written and not sent.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    received: VecDeque<Bytes>,
    pub(crate) received_bytes: usize,
    /// The tail of `received` that small chunks are collected in.
    small: BytesMut,
    sending: VecDeque<Bytes>,
    pub(crate) sending_bytes: usize,
    pub(crate) syn: bool,
    /// Queued in the mux's round-robin.
    pub(crate) queued: bool,
    pub(crate) write_blocked: bool,
    pub(crate) readable_announced: bool,
    /// The peer's FIN came.
    pub(crate) peer_finished: bool,
    /// Local end-of-file: until when to wait for the answer.
    pub(crate) quiet_until: Option<Instant>,
    /// Nobody reads or writes any more: FIN follows what is queued.
    pub(crate) closing: bool,
}

impl Stream {
    /// A stream whose SYN is due.
    pub(crate) fn opened_here() -> Self {
        Self {
            syn: true,
            ..Self::default()
        }
    }

    pub(crate) fn receive(&mut self, data: Bytes) {
        self.received_bytes += data.len();
        if data.len() < SMALL {
            self.small.extend_from_slice(&data);
            if self.small.len() >= SMALL {
                self.received.push_back(self.small.split().freeze());
            }
        } else {
            if !self.small.is_empty() {
                self.received.push_back(self.small.split().freeze());
            }
            self.received.push_back(data);
        }
    }

    pub(crate) fn read(&mut self) -> Option<Bytes> {
        let data = match self.received.pop_front() {
            Some(data) => data,
            None if !self.small.is_empty() => std::mem::take(&mut self.small).freeze(),
            None => return None,
        };
        self.received_bytes -= data.len();
        Some(data)
    }

    /// Forgets what was received; returns how much that was.
    pub(crate) fn discard_received(&mut self) -> usize {
        self.received.clear();
        self.small = BytesMut::new();
        std::mem::take(&mut self.received_bytes)
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        self.sending_bytes += data.len();
        self.sending.push_back(data);
    }

    pub(crate) fn discard_sending(&mut self) {
        self.sending.clear();
        self.sending_bytes = 0;
    }

    /// Moves up to `max` queued bytes to `to`.
    pub(crate) fn send(&mut self, to: &mut BytesMut, max: usize) {
        let mut room = max;
        while room > 0
            && let Some(first) = self.sending.front_mut()
        {
            let take = first.len().min(room);
            to.extend_from_slice(&first[..take]);
            first.advance(take);
            room -= take;
            self.sending_bytes -= take;
            if first.is_empty() {
                self.sending.pop_front();
            }
        }
    }

    /// Takes no more data to send.
    pub(crate) fn is_write_closed(&self) -> bool {
        self.closing || self.peer_finished || self.quiet_until.is_some()
    }
}
