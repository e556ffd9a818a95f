use std::time::Duration;

/// Limits and times of one [`Mux`](crate::Mux).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Most data in one frame, in bytes, at most 65535. Default 32768, what the Go side writes.
    pub max_frame_data: usize,
    /// Bytes received and not read before [`Mux::receive_paused`](crate::Mux::receive_paused).
    /// Default 4 MiB, the agent's own for all streams of a session.
    pub session_receive_budget: usize,
    /// Most bytes written to one stream and not sent. Default 64 KiB: enough to fill a message
    /// whenever the window opens.
    pub stream_send_buffer: usize,
    /// How long a stream that was finished locally waits for more of the answer, counted from the
    /// last byte received. Default 10 s.
    pub half_close_quiet: Duration,
    /// Send NOPs, and count a silent peer as dead. Default `None`.
    pub keepalive: Option<Keepalive>,
    /// Most streams at once. Default 65536.
    pub max_streams: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_frame_data: 32 << 10,
            session_receive_budget: 4 << 20,
            stream_send_buffer: 64 << 10,
            half_close_quiet: Duration::from_secs(10),
            keepalive: None,
            max_streams: 1 << 16,
        }
    }
}

/// Keep-alives; the defaults are those of `xtaci/smux`, which agents up to 3.1.1511.0 use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Between two NOPs. Default 10 s.
    pub interval: Duration,
    /// Silence after which the peer counts as dead. Default 30 s.
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
