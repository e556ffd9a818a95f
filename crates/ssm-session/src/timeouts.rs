//! Times of a session.

use std::time::Duration;

/// Times of a session. Every wait has one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Timeouts {
    /// Time allowed to open a websocket. Default 15 s.
    pub connect: Duration,
    /// How long a data channel that was never ready is tried. Default 60 s.
    pub handshake: Duration,
    /// How long to try to resume a session whose websocket was lost, `None` for unlimited, until a
    /// websocket lasts for 10 s or carries more than a few messages. Time for which the machine sleeps
    /// does not count. Default 10 minutes.
    pub resume_budget: Option<Duration>,
    /// Time allowed for each step of closing: delivering queued data, sending the last message,
    /// TerminateSession. A session that is dropped together with its runtime blocks for
    /// TerminateSession, at most three times as long. Default 3 s.
    pub close: Duration,
    /// Interval of websocket pings. Default 30 s: middleboxes drop idle connections, the most
    /// impatient after a minute. Pings do not count as activity of the session.
    pub ping_interval: Duration,
    /// Time allowed for a pong before the websocket counts as lost. Default 20 s. Other data does not
    /// count instead of it, except while the ping itself waits behind an upload that the service takes
    /// slowly; while the websocket is not read because the application is behind, no pong is expected.
    pub pong: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            handshake: Duration::from_secs(60),
            resume_budget: Some(Duration::from_secs(600)),
            close: Duration::from_secs(3),
            ping_interval: Duration::from_secs(30),
            pong: Duration::from_secs(20),
        }
    }
}
