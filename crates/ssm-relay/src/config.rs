//! Limits and times of a relay.

use std::time::Duration;

use ssm_forward::ForwardConfig;
use ssm_session::Timeouts;

/// Limits and times of a relay. Every wait and every buffer has one.
///
/// # Memory
///
/// The most that is ever held, with the defaults. None of it grows with the length of a transfer:
/// what is full stops whoever fills it.
///
/// | what | limit | default |
/// |---|---|---|
/// | sent and not acknowledged, a session | [`max_unacknowledged`](Self::max_unacknowledged) | 4 MiB; in memory at most twice that and 256 KiB |
/// | received ahead of a missing message, a session | fixed | 64 MiB, nothing while none is missing |
/// | received and not taken by local readers, a session | [`session_receive_budget`](Self::session_receive_budget) | 4 MiB; in memory at most about twice that |
/// | acknowledgements that the websocket does not take, a session | fixed | 192 KiB, then the websocket is not read |
/// | written and not sent, a stream | [`stream_send_buffer`](Self::stream_send_buffer) | 64 KiB |
/// | read from a local socket, a connection | fixed | 64 KiB, none while it is idle |
/// | on its way to a local socket, a connection | fixed | 64 KiB |
/// | read from the websocket, a session | fixed | 32 KiB and a batch of 128 KiB, and at most one message of 1 MiB |
/// | written to the websocket, a session | fixed | 80 KiB of messages and 384 KiB, pongs included |
/// | streams, a session | fixed | 65536 |
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
    /// Largest payload of one message, in bytes, at least [`MIN_PAYLOAD`](Self::MIN_PAYLOAD).
    /// Default 1024, what both reference peers send.
    pub max_payload: usize,
    /// Most bytes sent and not acknowledged, a session. Default 4 MiB.
    pub max_unacknowledged: usize,
    /// Most bytes received that local readers have not taken, a session. Default 4 MiB. Once it is
    /// used up the websocket is not read until they did, so nothing is ever dropped.
    pub session_receive_budget: usize,
    /// Most bytes written to one stream that are not sent yet. Default 64 KiB.
    pub stream_send_buffer: usize,
    /// How long a stream whose local side ended its writing waits for more of the answer, counted
    /// from the last byte received, or from when the last byte sent was acknowledged; not while the
    /// network is down or local readers are behind. The protocol has no half-close: ending the
    /// stream any sooner would cut off the answer. Default 10 s. Where a session carries one
    /// connection and no other session can be started ([`SessionApi::can_start_more`]), a quiet second
    /// is enough once another connection waits; the old one is reset then.
    ///
    /// [`SessionApi::can_start_more`]: crate::SessionApi::can_start_more
    pub half_close_quiet: Duration,
    /// How long the agent may take to complete the handshake, and how long a data channel that was
    /// never open is tried. Default 60 s.
    pub handshake_timeout: Duration,
    /// How long sent data may wait while nothing is heard from the agent, although the websocket is
    /// up and read. Default 5 minutes.
    ///
    /// An agent that says anything is waited for, whatever it leaves unacknowledged: while its
    /// destination does not read it acknowledges nothing, takes no acknowledgements either, and goes
    /// on sending. TCP has no deadline for such a reader, and neither is there one here. What waits
    /// for it is bounded ([`max_unacknowledged`](Self::max_unacknowledged),
    /// [`stream_send_buffer`](Self::stream_send_buffer)), and a tunnel is closed in bounded time all
    /// the same.
    pub peer_timeout: Duration,
    /// smux keep-alives at this interval. Default `None`: with agents above 3.1.1511.0 they would
    /// defeat the account's idle time-out. Older agents hang up without them and get them anyway.
    pub keep_alive: Option<Duration>,
    /// How often the websocket is pinged. Default 30 s: middleboxes drop idle connections, the
    /// soonest after a minute. Pings are the websocket's own and do not count as activity of the
    /// session.
    pub ping_interval: Duration,
    /// How long the pong may take before the websocket counts as lost. Default 20 s. Data in its place
    /// does not count, except while the ping itself waits behind an upload that the service takes
    /// slowly; while local readers are behind, the websocket is not read and no pong is expected.
    pub pong_timeout: Duration,
    /// How long opening a websocket may take. Default 15 s.
    pub connect_timeout: Duration,
    /// How long a lost websocket is tried again, `None` for ever, until one lasts for 10 s or carries
    /// more than a few messages. Time for which the machine sleeps does not count. Default 10 minutes.
    pub resume_budget: Option<Duration>,
    /// How long closing waits for data on its way, then for the last message to be written, then
    /// for TerminateSession. A tunnel that is dropped together with its runtime blocks for
    /// TerminateSession, at most three times as long. Default 3 s.
    pub close_timeout: Duration,
    /// Most local connections at once, waiting for a session or carried by one. Further ones wait
    /// unaccepted in the system's backlog. Default 1024.
    pub max_connections: usize,
    /// Most sessions that connections are spread over where they can share one. Default 1.
    ///
    /// The agent sends at most one message a millisecond a session, about 0.8 MB/s with messages of
    /// 1 KiB, so parallel downloads are faster over more. A connection that finds every session in
    /// use waits until another is started, and where that fails shares one. Each is an SSM session:
    /// it is listed, logged and counted as one (StartSession is throttled, and an account's quota of
    /// sessions counts it), takes a second or so to start, and costs a websocket.
    pub sessions: usize,
    /// How long one of those beyond the first stays without a connection before it is closed.
    /// Default 60 s.
    pub session_idle: Duration,
    /// Most sessions at once where each carries one connection only (old agents, SSH document).
    /// Further connections wait. Default 32.
    pub max_sessions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: 1024,
            max_unacknowledged: 4 << 20,
            session_receive_budget: 4 << 20,
            stream_send_buffer: 64 << 10,
            half_close_quiet: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(60),
            peer_timeout: Duration::from_secs(300),
            keep_alive: None,
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(15),
            resume_budget: Some(Duration::from_secs(600)),
            close_timeout: Duration::from_secs(3),
            max_connections: 1024,
            sessions: 1,
            session_idle: Duration::from_secs(60),
            max_sessions: 32,
        }
    }
}

impl Limits {
    /// Least [`max_payload`](Self::max_payload), in bytes: a message towards an agent that may process
    /// it twice has up to 24 bytes around its frames, and the smallest frame with data has 9.
    pub const MIN_PAYLOAD: usize = ForwardConfig::MIN_PAYLOAD;

    /// What cannot work, for who sets it.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.max_payload < Self::MIN_PAYLOAD {
            return Err(format!(
                "the limit max_payload is {}: a message needs {} bytes",
                self.max_payload,
                Self::MIN_PAYLOAD
            ));
        }
        Ok(())
    }

    /// The part of a session.
    pub(crate) fn timeouts(&self) -> Timeouts {
        let mut timeouts = Timeouts::default();
        timeouts.connect = self.connect_timeout;
        timeouts.handshake = self.handshake_timeout;
        timeouts.resume_budget = self.resume_budget;
        timeouts.close = self.close_timeout;
        timeouts.ping_interval = self.ping_interval;
        timeouts.pong = self.pong_timeout;
        timeouts
    }

    /// As the state machine takes them.
    pub(crate) fn forward(&self) -> ForwardConfig {
        let mut config = ForwardConfig::default();
        config.session.max_payload = self.max_payload;
        config.session.max_window = self.max_unacknowledged;
        config.session.handshake_timeout = self.handshake_timeout;
        config.session.peer_timeout = self.peer_timeout;
        config.session_receive_budget = self.session_receive_budget;
        config.stream_send_buffer = self.stream_send_buffer;
        config.half_close_quiet = self.half_close_quiet;
        config.keep_alive = self.keep_alive;
        config
    }
}
