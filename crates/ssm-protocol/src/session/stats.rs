//! Counters of a session.

use std::time::Duration;

use super::Session;

/// Counters since the start of a session, and its current state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Stream-data messages delivered in order.
    pub received: u64,
    /// Stream-data messages created; equals the next sequence number.
    pub sent: u64,
    /// Stream-data messages that the peer acknowledged or was found to have processed.
    pub acknowledged: u64,
    /// The lowest unacknowledged sequence number.
    pub confirmed: u64,
    /// Duplicates received.
    pub duplicates: u64,
    /// Unreadable messages, which were dropped.
    pub bad: u64,
    /// Retransmissions of stream-data messages.
    pub retransmitted: u64,
    /// Unacknowledged payload bytes.
    pub unacknowledged: usize,
    /// Bytes held of messages that arrived ahead of a missing one, overhead included.
    pub reordering: usize,
    /// The current window: maximum unacknowledged payload bytes.
    pub window: usize,
    /// Smoothed round-trip time, from a message's transmission to its acknowledgement.
    pub round_trip: Option<Duration>,
}

impl Session {
    /// Counters and current state.
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
