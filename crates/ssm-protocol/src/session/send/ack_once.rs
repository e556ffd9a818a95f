//! The strategy for agents before 3.2.1041.0, which acknowledge each message only once: its state, then its
//! hooks in the outbox and in the session.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::inquiry::{Ask, Inquiry};
use super::outbox::Outbox;
use crate::session::Session;
use crate::wire::{MessageId, PAYLOAD_OFFSET, PayloadType};

/// Decides what to conclude about a peer that does not acknowledge duplicates, so that a missing
/// acknowledgement does not mean a missing message: see [`Inquiry`].
///
/// Until [`enable`](Self::enable), every method answers as for a peer that acknowledges duplicates.
#[derive(Debug, Default)]
pub(super) struct AckOnce {
    enabled: bool,
    inquiry: Option<Inquiry>,
    /// Until a message with the number before it is created.
    marker: Option<Marker>,
}

/// A message without payload that has the number after the next. Until the next number is used, it is
/// ahead of a missing message, and so acknowledged every time it arrives.
#[derive(Debug, Clone, Copy)]
struct Marker {
    number: u64,
    sent_at: Instant,
    /// The peer holds it until its turn.
    acknowledged: bool,
}

/// What an acknowledgement shows during an inquiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// Nothing.
    Nothing,
    /// A message before the question is missing at the peer, or was until now.
    Missing,
    /// The path works in both directions.
    PathWorks { round_trip: Duration },
    /// The path works, and the peer has processed every message before this number.
    Processed { before: u64, round_trip: Duration },
}

impl AckOnce {
    /// Call when the peer turns out to be such an agent.
    pub(super) fn enable(&mut self) {
        self.enabled = true;
    }

    /// Whether acknowledgements of later transmissions show that a message is lost. They do not for one that
    /// was `repeated`: a peer that has it stays silent, and each later acknowledgement would resend it.
    pub(super) fn later_acks_show_loss(&self, repeated: bool) -> bool {
        !(self.enabled && repeated)
    }

    /// Chooses up to `count` overdue messages for retransmission. `overdue` gives the time of the last
    /// transmission and the position of each, by number. The lowest number may have been processed
    /// silently, so with such a peer the messages take turns by age.
    pub(super) fn choose_overdue(
        &self,
        overdue: impl Iterator<Item = (Instant, usize)>,
        count: usize,
    ) -> Vec<(Instant, usize)> {
        if !self.enabled {
            return overdue.take(count).collect();
        }
        let mut all: Vec<_> = overdue.collect();
        all.sort_unstable();
        all.truncate(count);
        all
    }

    /// Counts the messages of the current round as lost.
    pub(super) fn restart_round(&mut self) {
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.restart_round();
        }
    }

    /// Every message before `number` is processed: ends an inquiry about them.
    pub(super) fn processed_before(&mut self, number: u64) {
        self.inquiry.take_if(|inquiry| inquiry.question() <= number);
    }

    /// Whether an inquiry has something to send.
    fn is_asking(&self) -> bool {
        self.inquiry
            .as_ref()
            .is_some_and(|inquiry| inquiry.due().is_some())
    }

    /// The message to send now under this id, and its number. `next` is the next unused number.
    fn ask(&mut self, next: u64, id: MessageId, now: Instant) -> Option<(Ask, u64)> {
        let inquiry = self.inquiry.as_mut()?;
        let ask = inquiry.due()?;
        let number = match ask {
            Ask::Question => {
                inquiry.question_sent();
                inquiry.question()
            }
            Ask::Marker => {
                inquiry.marker_sent(id, now);
                let marker = self.marker.get_or_insert(Marker {
                    number: next + 1,
                    sent_at: now,
                    acknowledged: false,
                });
                marker.sent_at = now;
                marker.number
            }
        };
        Some((ask, number))
    }

    /// Evaluates an acknowledgement.
    fn on_ack(&mut self, number: u64, id: MessageId, now: Instant) -> Finding {
        if let Some(marker) = &mut self.marker {
            marker.acknowledged |= marker.number == number;
        }
        let Some(inquiry) = &mut self.inquiry else {
            return Finding::Nothing;
        };
        let question = inquiry.question();
        if number == question {
            return if inquiry.question_acknowledged() {
                Finding::Missing
            } else {
                Finding::Nothing
            };
        }
        match inquiry.acknowledged(id, now) {
            None => Finding::Nothing,
            Some((round_trip, false)) => Finding::PathWorks { round_trip },
            Some((round_trip, true)) => Finding::Processed {
                before: question,
                round_trip,
            },
        }
    }
}

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
    pub(super) fn push_due_marker(&mut self, now: Instant) {
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
