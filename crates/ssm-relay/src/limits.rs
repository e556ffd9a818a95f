//! Limits and times of a relay.

use std::time::Duration;

use ssm_forward::ForwardConfig;
use ssm_session::Timeouts;

/// Limits and times of a relay: what a user may want to change. The rest is in [`tuning`](Self::tuning).
///
/// # Memory
///
/// Memory is independent of transfer size: full buffers apply back-pressure. The most that is ever held:
///
/// | what | limit | default |
/// |---|---|---|
/// | sent and unacknowledged, per session | [`Tuning::max_unacknowledged`] | 4 MiB; in memory at most twice that and 256 KiB |
/// | received ahead of a missing message, per session | fixed | 64 MiB, nothing while none is missing |
/// | received and not taken by local readers, per session | [`Tuning::session_receive_budget`] | 4 MiB; in memory at most about twice that |
/// | acknowledgements that the websocket does not take, per session | fixed | 192 KiB, then the websocket is not read |
/// | written and not sent, per stream | [`Tuning::stream_send_buffer`] | 64 KiB |
/// | read from a local socket, per connection | fixed | 64 KiB, none while it is idle |
/// | on its way to a local socket, per connection | fixed | 64 KiB |
/// | read from the websocket, per session | fixed | 32 KiB and a batch of 128 KiB, and at most one message of 1 MiB |
/// | written to the websocket, per session | fixed | 80 KiB of messages and 384 KiB, pongs included |
/// | streams, per session | fixed | 65536 |
/// | local connections, waiting or carried | [`max_connections`](Self::max_connections) | 1024; further ones wait unaccepted |
/// | sessions, where connections share them | [`sessions`](Self::sessions) | 1; further connections share |
/// | sessions, where each carries one connection | [`max_sessions`](Self::max_sessions) | 32 and the first |
/// | events kept for a slow receiver | fixed | 256 |
///
/// A slow local reader stops only its own stream until the session's receive budget is used up; then
/// the websocket is not read, which stops the agent, and nothing is dropped.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// How long a stream whose local side ended its writing waits for more of the answer, counted
    /// from the last byte received, or from when the last byte sent was acknowledged; not while the
    /// network is down or local readers are behind. The protocol has no half-close: ending the
    /// stream any sooner would cut off the answer. Default 10 s. Where a session carries one
    /// connection and no other session can be started ([`SessionApi::can_start_more`]), a quiet second
    /// is enough once another connection waits; the old one is reset then.
    ///
    /// [`SessionApi::can_start_more`]: crate::SessionApi::can_start_more
    pub half_close_quiet: Duration,
    /// Interval of smux keep-alives. Default `None`: with agents above 3.1.1511.0 they would defeat
    /// the account's idle time-out. Older agents hang up without them and get them anyway.
    pub keep_alive: Option<Duration>,
    /// Time allowed to open a websocket. Default 15 s.
    pub connect_timeout: Duration,
    /// How long to try to resume a session whose websocket was lost, `None` for unlimited, until a
    /// websocket lasts for 10 s or carries more than a few messages. Time for which the machine sleeps
    /// does not count. Default 10 minutes.
    pub resume_budget: Option<Duration>,
    /// Time allowed for each step of closing: delivering queued data, sending the last message,
    /// TerminateSession. A tunnel that is dropped together with its runtime blocks for
    /// TerminateSession, at most three times as long. Default 3 s.
    pub close_timeout: Duration,
    /// Maximum local connections at once, waiting for a session or carried by one. Further ones wait
    /// unaccepted in the system's backlog. Default 1024.
    pub max_connections: usize,
    /// Maximum sessions that connections are spread over where they can share one. Default 1.
    ///
    /// The agent sends at most one message per millisecond and session, about 0.8 MB/s with messages of
    /// 1 KiB, so parallel downloads are faster over more sessions. A connection that finds every session
    /// in use waits until another one is started, and where that fails shares one. Each is an SSM
    /// session: it is listed, logged and counted as one (StartSession is throttled, and an account's quota
    /// of sessions counts it), takes about a second to start, and costs a websocket.
    pub sessions: usize,
    /// Maximum sessions at once where each carries one connection only (old agents, SSH document).
    /// Further connections wait. Default 32.
    pub max_sessions: usize,
    /// Buffers and times that rarely need a change.
    pub tuning: Tuning,
}

/// Buffers and times of a relay that rarely need a change.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tuning {
    /// Maximum payload of one message, in bytes, at least [`Limits::MIN_PAYLOAD`]. Default 1024, which
    /// both reference peers send.
    pub max_payload: usize,
    /// Maximum unacknowledged bytes per session. Default 4 MiB.
    pub max_unacknowledged: usize,
    /// Maximum bytes received per session that local readers have not taken. Default 4 MiB. When it is
    /// used up, the websocket is not read until they have, so nothing is ever dropped.
    pub session_receive_budget: usize,
    /// Maximum bytes written to one stream and not sent. Default 64 KiB.
    pub stream_send_buffer: usize,
    /// Time allowed for the handshake with the agent, and how long a data channel that was never open is
    /// tried. Default 60 s.
    pub handshake_timeout: Duration,
    /// How long sent data may wait while nothing arrives from the agent, although the websocket is
    /// open and read. Default 5 minutes.
    ///
    /// An agent that sends anything is waited for, whatever it leaves unacknowledged: while its
    /// destination does not read, it acknowledges nothing, takes no acknowledgements either, and goes
    /// on sending. TCP has no deadline for such a reader, and neither has a tunnel. What waits
    /// for it is bounded ([`max_unacknowledged`](Self::max_unacknowledged),
    /// [`stream_send_buffer`](Self::stream_send_buffer)), and a tunnel is closed in bounded time all
    /// the same.
    pub peer_timeout: Duration,
    /// Interval of websocket pings. Default 30 s: middleboxes drop idle connections, the most impatient
    /// after a minute. Pings do not count as activity of the session.
    pub ping_interval: Duration,
    /// Time allowed for a pong before the websocket counts as lost. Default 20 s. Other data does not
    /// count instead of it, except while the ping itself waits behind an upload that the service takes
    /// slowly; while local readers are behind, the websocket is not read and no pong is expected.
    pub pong_timeout: Duration,
    /// How long one of the sessions beyond the first stays without a connection before it is closed.
    /// Default 60 s.
    pub session_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_close_quiet: Duration::from_secs(10),
            keep_alive: None,
            connect_timeout: Duration::from_secs(15),
            resume_budget: Some(Duration::from_secs(600)),
            close_timeout: Duration::from_secs(3),
            max_connections: 1024,
            sessions: 1,
            max_sessions: 32,
            tuning: Tuning::default(),
        }
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            max_payload: 1024,
            max_unacknowledged: 4 << 20,
            session_receive_budget: 4 << 20,
            stream_send_buffer: 64 << 10,
            handshake_timeout: Duration::from_secs(60),
            peer_timeout: Duration::from_secs(300),
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(20),
            session_idle: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// Minimum of [`Tuning::max_payload`], in bytes: a message towards an agent that may process
    /// it twice has up to 24 bytes around its frames, and the smallest frame with data has 9.
    pub const MIN_PAYLOAD: usize = ForwardConfig::MIN_PAYLOAD;

    /// Checks what cannot work.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.tuning.max_payload < Self::MIN_PAYLOAD {
            return Err(format!(
                "the limit max_payload is {}: a message needs {} bytes",
                self.tuning.max_payload,
                Self::MIN_PAYLOAD
            ));
        }
        Ok(())
    }

    /// The part of a session.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let mut timeouts = Timeouts::default();
        timeouts.connect = self.connect_timeout;
        timeouts.handshake = self.tuning.handshake_timeout;
        timeouts.resume_budget = self.resume_budget;
        timeouts.close = self.close_timeout;
        timeouts.ping_interval = self.tuning.ping_interval;
        timeouts.pong = self.tuning.pong_timeout;
        timeouts
    }

    /// The part of the state machine.
    pub(crate) fn forward(&self) -> ForwardConfig {
        let mut config = ForwardConfig::default();
        config.session.max_payload = self.tuning.max_payload;
        config.session.max_window = self.tuning.max_unacknowledged;
        config.session.handshake_timeout = self.tuning.handshake_timeout;
        config.session.peer_timeout = self.tuning.peer_timeout;
        config.session_receive_budget = self.tuning.session_receive_budget;
        config.stream_send_buffer = self.tuning.stream_send_buffer;
        config.half_close_quiet = self.half_close_quiet;
        config.keep_alive = self.keep_alive;
        config
    }
}
