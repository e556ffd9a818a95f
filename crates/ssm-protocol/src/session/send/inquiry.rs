//! Finding out what a peer has processed that acknowledges each message only once.

use std::time::{Duration, Instant};

use crate::wire::MessageId;

/// Consecutive silent rounds that count as proof. [`Inquiry`] states the odds.
const ROUNDS: u32 = 16;
/// How often each round sends the question.
const COPIES: u32 = 3;

/// Finds out what a peer has processed that acknowledges each message only once.
///
/// Agents before 3.2.1041.0 are silent when a message arrives that they have processed before
/// (`agent/session/datachannel/datachannel.go` of `aws/amazon-ssm-agent`, changed by @b0e8d778). When
/// an acknowledgement is lost with its websocket, resending the message does not yield another one, and
/// the message would count against the window for ever.
///
/// What such an agent answers, by the same file:
///
/// | number of the message | answer |
/// |---|---|
/// | below the expected one | none |
/// | the expected one | acknowledged, unless its port does not take it yet |
/// | above it: an earlier one is missing | acknowledged and kept, every time it arrives |
///
/// So two messages without a payload, which the port's handler ignores, are placed behind the messages in
/// doubt: the *question* gets the next number, and the *marker* the one after that. A round sends the
/// question [`COPIES`] times and then the marker. The marker is always answered, since no message has the
/// number before it; the answer shows that the path works in both directions. The question is answered if
/// an earlier message is missing, and then the messages in doubt are resent. If it is not answered, the
/// agent expects a higher number, or it expects the question and its port is not ready: either way it has
/// processed everything before the question.
///
/// Silence could also mean that all copies of the question, or their answers, were lost while the marker,
/// sent after them, was not. A websocket loses messages only at its end, namely those in flight; for a
/// wrong conclusion the agent's websocket would have to end between the question and the marker
/// [`ROUNDS`] times in a row. On a path that loses every third message in both directions, which no
/// websocket does, one round is misleading with a probability of 0.17, and [`ROUNDS`] in a row with
/// 10^-12.
#[derive(Debug)]
pub(super) struct Inquiry {
    /// The question's number.
    question: u64,
    silent_rounds: u32,
    round: Round,
}

#[derive(Debug, Default)]
struct Round {
    copies: u32,
    /// The id under which the marker was sent in this round, and when.
    marker: Option<(MessageId, Instant)>,
    answered: bool,
}

/// The message to send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Question,
    Marker,
}

impl Inquiry {
    /// Inquires about everything before `question`, the message that was created last.
    pub(super) fn new(question: u64) -> Self {
        Self {
            question,
            silent_rounds: 0,
            round: Round::default(),
        }
    }

    pub(super) fn question(&self) -> u64 {
        self.question
    }

    /// What remains to be sent in this round.
    pub(super) fn due(&self) -> Option<Ask> {
        match self.round {
            Round {
                marker: Some(_), ..
            } => None,
            Round { copies, .. } if copies < COPIES => Some(Ask::Question),
            _ => Some(Ask::Marker),
        }
    }

    pub(super) fn question_sent(&mut self) {
        self.round.copies += 1;
    }

    pub(super) fn marker_sent(&mut self, id: MessageId, now: Instant) {
        self.round.marker = Some((id, now));
    }

    /// No answer came in time, or its websocket is gone: the round proves nothing, and another one begins.
    /// Earlier rounds still count. What the peer has processed stays processed, and where websockets
    /// break often, none of them lasts for [`ROUNDS`] rounds.
    pub(super) fn restart_round(&mut self) {
        self.round = Round::default();
    }

    /// The question was acknowledged, either for the first time or because a message is missing. Returns
    /// whether that is the first time in this round.
    pub(super) fn question_acknowledged(&mut self) -> bool {
        self.silent_rounds = 0;
        !std::mem::replace(&mut self.round.answered, true)
    }

    /// A message with this id was acknowledged. If it is the marker of this round, returns its round-trip
    /// time, and whether everything before the question counts as processed.
    pub(super) fn acknowledged(&mut self, id: MessageId, now: Instant) -> Option<(Duration, bool)> {
        let (_, sent_at) = self.round.marker.filter(|(marker, _)| *marker == id)?;
        let round = std::mem::take(&mut self.round);
        self.silent_rounds += u32::from(!round.answered);
        let round_trip = now.saturating_duration_since(sent_at);
        Some((round_trip, self.silent_rounds >= ROUNDS))
    }
}
