use std::time::Duration;

/// The client version announced unless told otherwise: a release of the reference client, since
/// the agent decides by it what the client can do. AWS's minimum supported one is 1.2.764.0.
pub const CLIENT_VERSION: &str = "1.2.896.0";

/// Limits and times of one session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Version announced in the handshake. Default [`CLIENT_VERSION`].
    pub client_version: String,
    /// Largest payload of one message, in bytes. Default 1024, what both reference peers send;
    /// the agent takes more, what the service takes is unknown.
    pub max_payload: usize,
    /// Most bytes unacknowledged at any time, but at least two messages of `max_payload`. Default
    /// 4 MiB: 40 MB/s at a round trip of 100 ms.
    pub max_window: usize,
    /// Window before anything is known of the path, and its floor, in bytes; above `max_window` it
    /// is taken as that. Default 16 KiB.
    pub min_window: usize,
    /// Most bytes kept of messages that arrived ahead of a missing one. Default 64 MiB. What does
    /// not fit is not acknowledged, so the peer sends it again: the real agent one message each
    /// 100 ms, and past 100,000 of them it forgets the rest. It goes on sending about 0.8 MB/s
    /// meanwhile, so this is room for some 800 messages lost at once; with 4 MiB the few that are
    /// lost with a websocket slow a download down to 10 KB/s for good.
    pub reorder_bytes: usize,
    /// How long the handshake may take from the first connection on. Default 60 s.
    pub handshake_timeout: Duration,
    /// How long sent data may stay unacknowledged, with nothing heard from the peer and the
    /// websocket up, before the session counts as dead. Default 5 minutes, as the reference
    /// client's 3000 attempts.
    pub peer_timeout: Duration,
    /// Consecutive messages that cannot be read before the session ends. Default 100.
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
