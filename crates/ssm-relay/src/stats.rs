use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::event::{Event, seconds_if_any};

/// What went through a relay since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes from local programs and in-process streams that the tunnel took.
    pub sent: u64,
    /// Bytes of the destination that they took.
    pub received: u64,
    /// Connections that were opened, local and in process.
    pub connections: u64,
    /// Those of them that are open.
    pub open_connections: u64,
    /// Sessions that were started.
    pub sessions: u64,
    /// How often a session went on over a new websocket.
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

    /// Counts what an event tells.
    pub(crate) fn record(&self, event: &Event) {
        let counter = match event {
            Event::SessionStarted { .. } => &self.sessions,
            Event::ConnectionOpened { .. } => &self.opened,
            Event::ConnectionClosed { .. } => &self.closed,
            Event::Resumed { .. } => &self.resumes,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self, round_trip: Option<Duration>) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Closed first: a connection that is opened and closed in between counts as open for now.
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
