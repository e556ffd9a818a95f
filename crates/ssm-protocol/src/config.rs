//! The settings of one session.

use std::time::Duration;

/// Client version announced by default: a release of AWS's own client, because the agent decides by
/// this version what the client can do. AWS's minimum supported version is 1.2.764.0.
pub const CLIENT_VERSION: &str = "1.2.896.0";

/// Limits and timeouts of one session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Version announced in the handshake. Default [`CLIENT_VERSION`].
    pub client_version: String,
    /// Maximum payload per message, in bytes. Default 1024, which is what both reference peers send.
    /// The agent accepts more; the service's limit is not documented.
    pub max_payload: usize,
    /// Maximum unacknowledged payload bytes per session; values below two messages of `max_payload`
    /// count as two messages. Default 4 MiB: 40 MB/s at a round-trip time of 100 ms.
    pub max_window: usize,
    /// Initial window, used before the path is measured, and the minimum afterwards, in bytes. Values
    /// above `max_window` count as `max_window`. Default 16 KiB.
    pub min_window: usize,
    /// Maximum memory for messages that arrive ahead of a missing one, in bytes. Default 64 MiB. A
    /// message that does not fit is not acknowledged, so the peer resends it; the real agent resends
    /// one message every 100 ms, and drops what exceeds its buffer of 100,000. It sends about 0.8 MB/s
    /// meanwhile, so the default covers some 800 messages lost at once. With 4 MiB, the few messages
    /// lost with a websocket would slow a download down to 10 KB/s for good.
    pub reorder_bytes: usize,
    /// Time limit of the handshake, counted from the first connection. Default 60 s.
    pub handshake_timeout: Duration,
    /// How long the peer may stay silent while sent data is unacknowledged and the websocket is up,
    /// before the session counts as dead. Default 5 minutes, equal to the reference client's 3000
    /// attempts.
    pub peer_timeout: Duration,
    /// Consecutive unreadable messages that end the session. Default 100.
    pub max_bad_messages: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            client_version: CLIENT_VERSION.to_owned(),
            max_payload: 1024,
            max_window: 4 << 20,
            min_window: 16 << 10,
            reorder_bytes: 64 << 20,
            handshake_timeout: Duration::from_secs(60),
            peer_timeout: Duration::from_secs(300),
            max_bad_messages: 100,
        }
    }
}
