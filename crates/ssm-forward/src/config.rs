//! Limits and times of one port forward.

use std::time::Duration;

use ssm_protocol::SessionConfig;

/// Limits and times of one [`PortForward`](crate::PortForward).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ForwardConfig {
    /// The data channel: message size (at least [`MIN_PAYLOAD`](Self::MIN_PAYLOAD)), window,
    /// time-outs.
    pub session: SessionConfig,
    /// Maximum bytes received and not read, of all streams; from there on
    /// [`PortForward::receive_paused`](crate::PortForward::receive_paused). Default 4 MiB.
    pub session_receive_budget: usize,
    /// Maximum bytes written to one stream and not sent. Default 64 KiB.
    pub stream_send_buffer: usize,
    /// How long a stream that was finished waits for more of the answer, counted from the last byte
    /// received, or from when the last byte sent was acknowledged; not while the network is down or
    /// readers are behind. Default 10 s. In basic mode, a quiet second is enough once another
    /// connection waits ([`PortForward::set_waiting`](crate::PortForward::set_waiting)).
    pub half_close_quiet: Duration,
    /// Interval of smux keep-alives. Default `None`: with agents above 3.1.1511.0 they would defeat
    /// the account's idle time-out. Older agents hang up without them and get them anyway.
    pub keep_alive: Option<Duration>,
}

impl Default for ForwardConfig {
    fn default() -> Self {
        Self {
            session: SessionConfig::default(),
            session_receive_budget: 4 << 20,
            stream_send_buffer: 64 << 10,
            half_close_quiet: Duration::from_secs(10),
            keep_alive: None,
        }
    }
}

impl ForwardConfig {
    /// Minimum of [`SessionConfig::max_payload`], in bytes: a message towards an agent that may
    /// process it twice has up to 24 bytes around its frames, and the smallest frame with data has 9.
    pub const MIN_PAYLOAD: usize = ssm_smux::MIN_REPEATABLE;
}
