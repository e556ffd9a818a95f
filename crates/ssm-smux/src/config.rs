use std::time::Duration;

use crate::frame::MAX_DATA;

/// Limits and times of one [`Mux`](crate::Mux).
///
/// There is no budget of a single stream: smux version 1 has no way to hold back one stream, only
/// the session, so a limit a stream could not be kept. Nor is there a backlog of streams to accept:
/// those count as open streams.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MuxConfig {
    /// Most data in one frame, in bytes; 1 to [`MAX_DATA`], other values are taken as the nearest
    /// of these. Default 32768, what `xtaci/smux` writes (`mux.go` @1c217c89).
    pub max_frame_data: usize,
    /// Bytes received and not read, of all streams, from which on
    /// [`Mux::receive_paused`](crate::Mux::receive_paused). Default 4 MiB, the agent's own. They
    /// take at most about twice that of memory, see [`Mux::handle`](crate::Mux::handle).
    pub session_receive_budget: usize,
    /// Most bytes written to one stream and not sent; 0 is taken as 1. Default 64 KiB: two
    /// frames, so that one is ready while the next is written.
    pub stream_send_buffer: usize,
    /// How long a stream that was finished here waits for more of the answer, since the last byte
    /// went either way. Default 10 s: longer than a busy server thinks, shorter than a user who
    /// waits for the end. Zero sends FIN right behind the data, as AWS's own client does, and loses
    /// the answer; [`Duration::MAX`] waits for ever.
    pub half_close_quiet: Duration,
    /// Send NOPs, and count a silent peer as dead. Default `None`: to newer agents NOPs count as
    /// activity and defeat the account's idle time-out.
    pub keepalive: Option<Keepalive>,
    /// Build messages that have the effect of one however often the peer processes each of them
    /// before the next: for an agent that passes a message on before it counts it as received
    /// (3.0.655.0 and later). Costs 8 and 24 bytes a message in turn. Default `false`.
    pub repeatable: bool,
    /// Most streams at once, of both sides and with those whose FIN is not out yet. Default 65536:
    /// more than a host has ports for connections from one address.
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
    /// Between two NOPs, at least 1 ms. Default 10 s.
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
