//! The strategy for agents before 3.2.1041.0, which acknowledge each message only once.

use std::time::{Duration, Instant};

use super::inquiry::{Ask, Inquiry};
use crate::wire::MessageId;

/// Decides what to conclude about a peer that does not acknowledge duplicates, so that a missing
/// acknowledgement does not mean a missing message: see [`Inquiry`].
///
/// Until [`enable`](Self::enable), every method answers as for a peer that acknowledges duplicates.
#[derive(Debug, Default)]
pub(super) struct AckOnce {
    pub(super) enabled: bool,
    pub(super) inquiry: Option<Inquiry>,
    /// Until a message with the number before it is created.
    pub(super) marker: Option<Marker>,
}

/// A message without payload that has the number after the next. Until the next number is used, it is
/// ahead of a missing message, and so acknowledged every time it arrives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marker {
    pub(super) number: u64,
    pub(super) sent_at: Instant,
    /// The peer holds it until its turn.
    pub(super) acknowledged: bool,
}

/// What an acknowledgement shows during an inquiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
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
    pub(super) fn is_asking(&self) -> bool {
        self.inquiry
            .as_ref()
            .is_some_and(|inquiry| inquiry.due().is_some())
    }

    /// The message to send now under this id, and its number. `next` is the next unused number.
    pub(super) fn ask(&mut self, next: u64, id: MessageId, now: Instant) -> Option<(Ask, u64)> {
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
    pub(super) fn on_ack(&mut self, number: u64, id: MessageId, now: Instant) -> Finding {
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
