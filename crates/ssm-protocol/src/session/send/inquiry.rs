use std::time::{Duration, Instant};

use crate::wire::MessageId;

/// Silent rounds in a row after which the peer is believed. See [`Inquiry`] for what they are worth.
const ROUNDS: u32 = 16;
/// How often a round puts its question.
const COPIES: u32 = 3;

/// Finds out what a peer has taken that acknowledges each message only once.
///
/// Agents before 3.2.1041.0 say nothing when a message arrives that they processed before
/// (`agent/session/datachannel/datachannel.go` of `aws/amazon-ssm-agent`, changed by @b0e8d778). When
/// an acknowledgement is lost with its websocket, sending the message again brings no other, and it
/// would count against the window for ever.
///
/// What such an agent does say, by the same file:
///
/// | number of the message | answer |
/// |---|---|
/// | below the expected one | none |
/// | the expected one | acknowledged, unless its port does not take it yet |
/// | above it: something before is missing | acknowledged and kept, every time that it arrives |
///
/// So two messages without a payload, which the port's handler leaves alone, are put behind what is in
/// doubt: the *question* has the next number, and the *marker* the one after the next. A round sends
/// the question again, [`COPIES`] times, and then the marker. The marker is always answered, since
/// nothing was sent under the number before it; that shows that the path works in both directions.
/// The question is answered if anything before it is missing, and then the doubtful messages go
/// again. If it is not, the agent expects a higher number, or the question itself and its port is
/// not ready: either way it has processed everything before the question.
///
/// Silence could also mean that all copies of the question, or their answers, were lost, and the
/// marker sent after them was not. A websocket loses nothing but at its end, when what is on its way
/// goes; for a wrong conclusion the agent's websocket would have to end between the question and the
/// marker [`ROUNDS`] times in a row. On a path that loses every third message in both directions,
/// which no websocket does, a round deceives with a probability of 0.17, [`ROUNDS`] of them
/// with one of 10^-12.
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
    /// Id of the marker as it was sent in this round, and when.
    marker: Option<(MessageId, Instant)>,
    answered: bool,
}

/// What is to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Question,
    Marker,
}

impl Inquiry {
    /// About everything before `question`, a message that was just made.
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

    /// What this round still has to send.
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

    /// No answer came in time, or the websocket that it was to come on is gone. The round proves
    /// nothing; another one begins. The rounds before it still count: what the peer has taken it has
    /// taken for good, and where websockets break often none of them sees [`ROUNDS`] rounds.
    pub(super) fn restart_round(&mut self) {
        self.round = Round::default();
    }

    /// The question was acknowledged: for the first time, or because something is missing. Whether
    /// that is news in this round.
    pub(super) fn question_acknowledged(&mut self) -> bool {
        self.silent_rounds = 0;
        !std::mem::replace(&mut self.round.answered, true)
    }

    /// Something was acknowledged under this id. If that is the round's marker: its round trip, and
    /// whether everything before the question counts as processed.
    pub(super) fn acknowledged(&mut self, id: MessageId, now: Instant) -> Option<(Duration, bool)> {
        let (_, sent_at) = self.round.marker.filter(|(marker, _)| *marker == id)?;
        let round = std::mem::take(&mut self.round);
        self.silent_rounds += u32::from(!round.answered);
        let round_trip = now.saturating_duration_since(sent_at);
        Some((round_trip, self.silent_rounds >= ROUNDS))
    }
}
