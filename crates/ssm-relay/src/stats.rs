//! Totals of a relay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Totals of a relay since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes that the tunnel took from local programs and in-process streams.
    pub sent: u64,
    /// Bytes from the destination that these took.
    pub received: u64,
    /// Connections that were opened, local and in process.
    pub connections: u64,
    /// Connections that are open now.
    pub open_connections: u64,
    /// Sessions that were started.
    pub sessions: u64,
    /// How often a session was resumed over a new websocket.
    pub resumes: u64,
    /// From a message's transmission to the agent's acknowledgement, smoothed; `None` before the
    /// first.
    #[serde(rename = "round_trip_seconds", serialize_with = "seconds_if_any")]
    pub round_trip: Option<Duration>,
}

/// The counters behind it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    sessions: AtomicU64,
    resumes: AtomicU64,
}

impl Counters {
    pub(crate) fn add_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn connection_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_started(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_resumed(&self) {
        self.resumes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, round_trip: Option<Duration>) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Closed ones first: a connection opened and closed between the two reads counts as open.
        let closed = read(&self.closed);
        let connections = read(&self.opened);
        Stats {
            sent: read(&self.sent),
            received: read(&self.received),
            connections,
            open_connections: connections.saturating_sub(closed),
            sessions: read(&self.sessions),
            resumes: read(&self.resumes),
            round_trip,
        }
    }
}

fn seconds_if_any<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}
