//! The settings of one multiplexer.

use std::time::Duration;

use crate::wire::MAX_DATA;

/// Limits and timeouts of one [`Mux`](crate::Mux).
///
/// There is no receive limit per stream: smux version 1 can hold back the session but not a single
/// stream. Nor is there an accept backlog: streams that wait to be accepted count as open.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MuxConfig {
    /// Maximum data per frame, in bytes; clamped to 1 to [`MAX_DATA`]. Default 32768, which is what
    /// `xtaci/smux` writes (`mux.go` @1c217c89).
    pub max_frame_data: usize,
    /// Unread bytes of all streams, in bytes, at which
    /// [`Mux::receive_paused`](crate::Mux::receive_paused) becomes true. Default 4 MiB, equal to the
    /// agent's. They occupy at most about twice as much memory, see
    /// [`Mux::handle`](crate::Mux::handle).
    pub session_receive_budget: usize,
    /// Maximum unsent bytes per stream; 0 counts as 1. Default 64 KiB: two frames, so that one is ready
    /// while the next is written.
    pub stream_send_buffer: usize,
    /// How long a half-closed stream waits for more of the answer, counted from the last byte in either
    /// direction. Default 10 s: longer than a busy server needs, shorter than a user's patience. Zero
    /// sends FIN directly behind the data, as AWS's own client does, and loses the answer;
    /// [`Duration::MAX`] waits for ever.
    pub half_close_quiet: Duration,
    /// Keep-alives, which also detect a dead peer. Default `None`: with newer agents, NOPs count as
    /// activity and defeat Session Manager's idle timeout.
    pub keepalive: Option<Keepalive>,
    /// Builds messages that take effect once even if the peer processes them several times in a row: for
    /// agents that process a message before they count it as received (3.0.655.0 and later). Costs 24 and
    /// 8 bytes per message, alternately. Default `false`.
    pub repeatable: bool,
    /// Maximum concurrent streams of both sides, including those whose FIN is not sent yet. Default
    /// 65536: more than a host has ports for connections from one address.
    pub max_streams: usize,
}

impl Default for MuxConfig {
    fn default() -> Self {
        Self {
            max_frame_data: 32 << 10,
            session_receive_budget: 4 << 20,
            stream_send_buffer: 64 << 10,
            half_close_quiet: Duration::from_secs(10),
            keepalive: None,
            repeatable: false,
            max_streams: 1 << 16,
        }
    }
}

impl MuxConfig {
    pub(crate) fn in_range(mut self) -> Self {
        self.max_frame_data = self.max_frame_data.clamp(1, MAX_DATA);
        self.session_receive_budget = self.session_receive_budget.max(1);
        self.stream_send_buffer = self.stream_send_buffer.max(1);
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.interval = keepalive.interval.max(Duration::from_millis(1));
            keepalive.timeout = keepalive.timeout.max(Duration::from_millis(1));
        }
        self
    }
}

/// Keep-alives. The defaults are those of `xtaci/smux` (`mux.go` @1c217c89), which agents up to
/// 3.1.1511.0 use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Time between two NOPs, at least 1 ms. Default 10 s.
    pub interval: Duration,
    /// Silence after which the peer counts as dead, at least 1 ms. Default 30 s.
    pub timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
        }
    }
}
