//! What tells whether a peer that acknowledges only once has taken a message: see [`Inquiry`].

use std::time::Instant;

use bytes::Bytes;

use super::{MAX_BURST, Outbox, Transmission};
use crate::session::inquiry::{Ask, Inquiry, Marker};
use crate::wire::MessageId;

impl Outbox {
    /// Whether an inquiry is to begin: the oldest message went again, and is not acknowledged.
    pub(in crate::session) fn wants_inquiry(&self) -> bool {
        self.acknowledges_once
            && self.inquiry.is_none()
            && self.first < self.next
            && self
                .entries
                .front()
                .is_some_and(|oldest| oldest.repeated && !oldest.queued)
    }

    /// The message with this number was just made, for an inquiry about all before it.
    pub(in crate::session) fn begin_inquiry(&mut self, question: u64) {
        self.inquiry = Some(Inquiry::new(question));
    }

    /// Whether the inquiry has something to send.
    pub(in crate::session) fn is_inquiring(&self) -> bool {
        self.inquiry
            .as_ref()
            .is_some_and(|inquiry| inquiry.due().is_some())
    }

    /// What the inquiry has sent counts as lost.
    pub(in crate::session) fn restart_inquiry_round(&mut self) {
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.restart_round();
        }
    }

    /// The number under which a message without payload, with this id, is to be transmitted now.
    pub(in crate::session) fn poll_inquiry(&mut self, id: MessageId, now: Instant) -> Option<u64> {
        let after_next = self.next_sequence_number() + 1;
        let inquiry = self.inquiry.as_mut()?;
        let number = match inquiry.due()? {
            Ask::Question(number) => {
                inquiry.question_sent();
                self.retransmitted += 1;
                number
            }
            Ask::Marker => {
                inquiry.marker_sent(id, now);
                let marker = self.marker.get_or_insert(Marker {
                    number: after_next,
                    sent_at: now,
                    acknowledged: false,
                });
                marker.sent_at = now;
                marker.number
            }
        };
        Some(number)
    }

    /// Evaluates an acknowledgement during an inquiry. Returns how many messages it proves delivered;
    /// 0 without an inquiry.
    pub(in crate::session) fn on_ack_during_inquiry(
        &mut self,
        number: u64,
        id: MessageId,
        now: Instant,
    ) -> u64 {
        if let Some(marker) = &mut self.marker {
            marker.acknowledged |= marker.number == number;
        }
        let Some(inquiry) = &mut self.inquiry else {
            return 0;
        };
        let question = inquiry.question();
        if number == question {
            if inquiry.question_acknowledged() {
                self.burst = (self.burst * 2).min(MAX_BURST);
                self.resend_overdue(now, self.rtt.base());
            }
            return 0;
        }
        let Some(answer) = inquiry.acknowledged(id, now) else {
            return 0;
        };
        self.rtt.sample(answer.round_trip);
        // The path works: nothing is overdue, and more may be on its way.
        self.progress_at = Some(now);
        self.flight = self.flight.saturating_mul(2);
        if !answer.taken {
            return 0;
        }
        let taken = (self.first..question)
            .filter(|number| self.take(*number))
            .count();
        self.drop_taken();
        taken as u64
    }

    /// The marker's number, once the one before it was used: it is the next message.
    pub(in crate::session) fn due_marker(&self) -> Option<u64> {
        self.marker
            .map(|marker| marker.number)
            .filter(|number| *number == self.next_sequence_number())
    }

    /// The marker becomes a message like any other.
    pub(in crate::session) fn push_marker(&mut self, frame: Bytes, now: Instant) {
        let Some(marker) = self.marker.take() else {
            return;
        };
        self.push(frame, 0);
        let stamp = self.window.on_sent(now, self.in_flight);
        if let Some(entry) = self.entries.back_mut() {
            entry.acknowledged = marker.acknowledged;
            entry.repeated = true;
            entry.last = Some(Transmission {
                number: self.next_transmission,
                at: marker.sent_at,
                stamp,
            });
        }
    }
}
