use std::time::Duration;

use super::Session;

/// Counters of one session since its start, and its state now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Stream-data messages delivered in order.
    pub received: u64,
    /// Stream-data messages made: the next one's sequence number.
    pub sent: u64,
    /// Stream-data messages the peer acknowledged, or showed to have taken.
    pub acknowledged: u64,
    /// The lowest sequence number that is not acknowledged.
    pub confirmed: u64,
    /// Messages that arrived again.
    pub duplicates: u64,
    /// Messages that could not be read and were dropped.
    pub bad: u64,
    /// Stream-data messages transmitted again.
    pub retransmitted: u64,
    /// Payload bytes sent and not acknowledged.
    pub unacknowledged: usize,
    /// Bytes kept of messages that arrived ahead of a missing one.
    pub reordering: usize,
    /// Payload bytes that may be unacknowledged now.
    pub window: usize,
    /// Smoothed round-trip time, from a message's transmission to its acknowledgement.
    pub round_trip: Option<Duration>,
}

impl Session {
    /// Counters and state.
    pub fn stats(&self) -> Stats {
        Stats {
            sent: self.outbox.next_sequence_number(),
            confirmed: self.outbox.first_unacknowledged(),
            retransmitted: self.outbox.retransmitted(),
            unacknowledged: self.outbox.unacknowledged(),
            reordering: self.inbox.kept(),
            window: self.outbox.window(),
            round_trip: self.outbox.smoothed_rtt(),
            ..self.stats
        }
    }
}
