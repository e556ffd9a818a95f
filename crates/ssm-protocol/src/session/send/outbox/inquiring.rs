//! Where the strategy for agents that acknowledge once meets the outbox and the session: see
//! [`AckOnce`](super::super::ack_once::AckOnce).

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::super::ack_once::Finding;
use super::super::inquiry::{Ask, Inquiry};
use super::Outbox;
use crate::session::Session;
use crate::wire::{MessageId, PAYLOAD_OFFSET, PayloadType};

impl Outbox {
    /// The peer does not acknowledge duplicates.
    pub(in crate::session) fn peer_acknowledges_once(&mut self) {
        self.ack_once.enable();
    }

    /// Whether an inquiry has something to send, or is to begin.
    pub(in crate::session) fn inquires(&self) -> bool {
        self.wants_inquiry() || self.ack_once.is_asking()
    }

    /// Whether an inquiry is to begin: the oldest message was retransmitted in vain.
    fn wants_inquiry(&self) -> bool {
        self.ack_once.enabled && self.ack_once.inquiry.is_none() && self.waits_for_repeated()
    }

    /// Counts the messages of the current round of the inquiry as lost.
    pub(in crate::session) fn restart_inquiry_round(&mut self) {
        self.ack_once.restart_round();
    }

    /// Evaluates an acknowledgement for the inquiry. Returns the number of messages that it proves processed
    /// besides the one that it names; 0 without an inquiry.
    pub(in crate::session) fn on_ack_during_inquiry(
        &mut self,
        number: u64,
        id: MessageId,
        now: Instant,
    ) -> u64 {
        match self.ack_once.on_ack(number, id, now) {
            Finding::Nothing => 0,
            Finding::Missing => {
                self.resend_more_overdue(now);
                0
            }
            Finding::PathWorks { round_trip } => {
                self.path_works(round_trip, now);
                0
            }
            Finding::Processed { before, round_trip } => {
                self.path_works(round_trip, now);
                self.take_before(before)
            }
        }
    }

    /// The marker's number, once it is the next unused one.
    fn due_marker(&self) -> Option<u64> {
        self.ack_once
            .marker
            .map(|marker| marker.number)
            .filter(|number| *number == self.next_sequence_number())
    }

    /// Makes the marker an ordinary message.
    fn push_marker(&mut self, frame: Bytes, now: Instant) {
        if let Some(marker) = self.ack_once.marker.take() {
            self.push_transmitted(frame, marker.sent_at, marker.acknowledged, now);
        }
    }
}

impl Session {
    /// The next message of an inquiry, which begins here if one is due.
    pub(in crate::session) fn poll_inquiry(&mut self, now: Instant) -> Option<Bytes> {
        if self.outbox.wants_inquiry() {
            let question = self.outbox.next_sequence_number();
            self.push(PayloadType::Size, &[], now);
            self.outbox.ack_once.inquiry = Some(Inquiry::new(question));
            if let Some(message) = self.outbox.poll(now) {
                return Some(message);
            }
        }
        if !self.outbox.ack_once.is_asking() {
            return None;
        }
        let id = self.message_id();
        let next = self.outbox.next_sequence_number();
        let (ask, number) = self.outbox.ack_once.ask(next, id, now)?;
        if ask == Ask::Question {
            self.outbox.count_retransmission();
        }
        Some(self.without_payload(number, id, now))
    }

    /// Makes the marker an ordinary message once its number is the next.
    pub(in crate::session) fn push_due_marker(&mut self, now: Instant) {
        if let Some(number) = self.outbox.due_marker() {
            let id = self.message_id();
            let frame = self.without_payload(number, id, now);
            self.outbox.push_marker(frame, now);
        }
    }

    /// A terminal size without a payload. A port session has no terminal, and its agent ignores the message
    /// (`agent/session/plugins/port` of `aws/amazon-ssm-agent` @677437f6).
    fn without_payload(&self, number: u64, id: MessageId, now: Instant) -> Bytes {
        let mut frame = BytesMut::zeroed(PAYLOAD_OFFSET);
        self.seal(PayloadType::Size, number, id, &mut frame, now);
        frame.freeze()
    }
}
