//! Sending: new data, and everything about messages that are not acknowledged yet.
//!
//! `outbox.rs` holds the messages, `outbox/recovery.rs` retransmits them, by the timeout of `rtt.rs`;
//! `window.rs` limits how many bytes they may have. `ack_once.rs` is the strategy for agents that acknowledge
//! a message only once, by means of `inquiry.rs`.

mod ack_once;
mod inquiry;
mod outbox;
mod rtt;
mod window;

use std::time::Instant;

use bytes::BytesMut;

use super::{NotReady, Session, Side};
use crate::payload::Flag;
use crate::wire::{Flags, Header, MessageId, PAYLOAD_OFFSET, PayloadType, SequenceNumber};
pub(super) use outbox::Outbox;

impl Session {
    /// Maximum payload of the next message in bytes: [`SessionConfig::max_payload`](crate::SessionConfig),
    /// or 0 while data must wait.
    ///
    /// The value may change after: [`handle_message`](Self::handle_message),
    /// [`handle_timeout`](Self::handle_timeout), [`connected`](Self::connected),
    /// [`disconnected`](Self::disconnected), [`send_with`](Self::send_with).
    #[must_use]
    pub fn send_room(&self) -> usize {
        // The agent acknowledges and discards stream data that arrives before HandshakeComplete.
        if self.may_send() && self.outbox.room() >= self.config.max_payload {
            self.config.max_payload
        } else {
            0
        }
    }

    /// Whether data could be sent, apart from the window.
    fn may_send(&self) -> bool {
        let may_probe = self.probe_due && self.outbox.is_empty();
        self.is_settled() && self.connected && (!self.paused || may_probe) && !self.closed
    }

    /// For the next 10 s, sizes the window by the measured round-trip time, down to four messages: call it
    /// when interactive data is queued behind a bulk upload. Otherwise round-trip times below 5 ms count as
    /// 5 ms and [`SessionConfig::min_window`](crate::SessionConfig::min_window) applies, because an upload
    /// to a nearby agent is faster with a queue of up to that length.
    pub fn favour_latency(&mut self, now: Instant) {
        self.outbox.favour_latency(now);
    }

    /// Sends one message of at most 64 bytes regardless of the window, for keep-alives, unless the memory
    /// for sent messages is used up. Returns the number of bytes appended; `fill` is as in
    /// [`send_with`](Self::send_with).
    pub fn send_small(&mut self, now: Instant, fill: impl FnOnce(&mut BytesMut, usize)) -> usize {
        let room = self.config.max_payload.min(64);
        if self.may_send() && !self.outbox.is_full() {
            self.send_filled(room, now, fill)
        } else {
            0
        }
    }

    /// Sends one message of port bytes that `fill` appends to a buffer, directly behind the space reserved
    /// for the header; `fill` receives the maximum number of bytes it may append. Returns the number
    /// appended. Without [`send_room`](Self::send_room), `fill` is not called.
    pub fn send_with(&mut self, now: Instant, fill: impl FnOnce(&mut BytesMut, usize)) -> usize {
        let room = self.send_room();
        if room == 0 {
            return 0;
        }
        self.send_filled(room, now, fill)
    }

    fn send_filled(
        &mut self,
        room: usize,
        now: Instant,
        fill: impl FnOnce(&mut BytesMut, usize),
    ) -> usize {
        let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + room);
        frame.resize(PAYLOAD_OFFSET, 0);
        fill(&mut frame, room);
        let appended = frame.len().saturating_sub(PAYLOAD_OFFSET);
        if appended > 0 {
            if frame.len() < frame.capacity() / 2 {
                // A keystroke must not hold the memory of a full message until it is acknowledged.
                frame = BytesMut::from(&*frame);
            }
            self.push_frame(PayloadType::Output, frame, now);
        }
        appended
    }

    /// Sends one message of port bytes.
    ///
    /// # Errors
    /// [`NotReady`] when data must wait, or when `payload` is longer than
    /// [`send_room`](Self::send_room).
    pub fn send(&mut self, payload: &[u8], now: Instant) -> Result<(), NotReady> {
        if payload.len() > self.send_room() {
            return Err(NotReady);
        }
        self.send_with(now, |frame, _| frame.extend_from_slice(payload));
        Ok(())
    }

    /// Sends a flag regardless of the window. Does nothing before the handshake is complete.
    pub fn send_flag(&mut self, flag: Flag, now: Instant) {
        if self.is_settled() && !self.closed {
            self.push(PayloadType::Flag, &flag.to_bytes(), now);
        }
    }

    /// Queues one message of any payload type.
    pub(super) fn push(&mut self, kind: PayloadType, payload: &[u8], now: Instant) {
        let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + payload.len());
        frame.resize(PAYLOAD_OFFSET, 0);
        frame.extend_from_slice(payload);
        self.push_frame(kind, frame, now);
    }

    fn push_frame(&mut self, kind: PayloadType, mut frame: BytesMut, now: Instant) {
        if self.outbox.is_delivered() {
            self.silent_since = now;
        }
        let id = self.message_id();
        let number = self.outbox.next_sequence_number();
        self.seal(kind, number, id, &mut frame, now);
        let bytes = frame.len() - PAYLOAD_OFFSET;
        self.outbox.push(frame.freeze(), bytes);
        self.push_due_marker(now);
    }

    fn seal(
        &self,
        kind: PayloadType,
        number: u64,
        message_id: MessageId,
        frame: &mut BytesMut,
        now: Instant,
    ) {
        let header = Header {
            message_type: self.side.sends(),
            schema_version: 1,
            created_date: self.unix_time(now),
            sequence_number: SequenceNumber(i64::try_from(number).unwrap_or(i64::MAX)),
            flags: match (self.side, number) {
                (Side::Agent, 0) => Flags::SYN,
                _ => Flags::NONE,
            },
            message_id,
            payload_type: kind,
        };
        header.seal(frame);
    }
}
