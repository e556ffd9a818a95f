//! The SSM Agent's end of one session, as a state machine without I/O or a clock.
//!
//! It follows the behaviour of `aws/amazon-ssm-agent`, with a reliability layer and an smux of its
//! own that share no code with this workspace's client. Its driver passes in messages, the time and
//! the destinations' bytes: the sandbox drives it with sockets, and a simulation can drive it in
//! virtual time.
//!
//! After every call that changes the agent, its driver
//!
//! - sends what [`Agent::poll_transmit`] returns, until that is `None`,
//! - makes the connections that [`Agent::poll_dial`] asks for and reports each with [`Agent::dialled`],
//! - serves the connections that [`Agent::poll_ready`] names, with [`Agent::next_for_destination`],
//! - calls [`Agent::handle_timeout`] at [`Agent::poll_timeout`], and
//! - stops once [`Agent::ended`] is `Some`.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use ssm_sandbox::agent::{Agent, AgentConfig};
//!
//! let properties = [("portNumber", "3389"), ("type", "LocalPortForwarding")];
//! let config = AgentConfig::new("3.3.5068.0", properties.into_iter().collect());
//! // The driver owns the clock: this start is real, but every later moment is made up.
//! let start = Instant::now();
//! let mut agent = Agent::new(config, 1, start, Duration::from_secs(1_795_000_000));
//!
//! // A port session begins with the agent's handshake request,
//! let mut sent = 0;
//! while agent.poll_transmit(start, true).is_some() {
//!     sent += 1;
//! }
//! assert!(sent > 0);
//! // which the agent repeats until the client acknowledges it.
//! let (mut now, mut repeated) = (start, 0);
//! for _ in 0..10 {
//!     now = agent.poll_timeout(now);
//!     agent.handle_timeout(now);
//!     while agent.poll_transmit(now, true).is_some() {
//!         repeated += 1;
//!     }
//! }
//! assert!(repeated > 0);
//! ```

mod basic;
mod channel;
mod config;
mod connection;
pub(crate) mod deadline;
mod denylist;
mod mux;
mod plugin;
mod shell;
mod smux;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ssm_protocol::payload::Flag;
use ssm_protocol::wire::PayloadType;

use basic::Basic;
use channel::Channel;
use config::parse_version;
pub use config::{AgentConfig, SessionType};
pub use connection::{ConnectionId, ToDestination};
pub use denylist::Vpc;
use mux::MuxPort;
use plugin::{Plugin, Served};
use shell::Shell;

/// Largest payload of an agent's message.
const MAX_PAYLOAD: usize = 1024;
/// The agent sleeps 1 ms after each message; with what the message itself takes, the real one was
/// measured at 0.83 MB/s.
const PACE: Duration = Duration::from_micros(1200);
/// How much of a late timer's delay is made up for.
const CATCH_UP: Duration = Duration::from_millis(5);
/// The first client version that multiplexes.
const FIRST_MUX_CLIENT: [u32; 4] = [1, 1, 70, 0];
/// The last client version that wants smux keep-alives.
const LAST_KEEPALIVE_CLIENT: [u32; 4] = [1, 2, 331, 0];

/// The agent's end of one session.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    channel: Channel,
    plugin: Plugin,
    /// Something arrived, so the client is connected, or was.
    client_seen: bool,
    next_send: Instant,
    ended: Option<String>,
}

impl Agent {
    /// A session's start. `seed` makes the message ids; `unix` is the time since the Unix epoch.
    pub fn new(config: AgentConfig, seed: u64, now: Instant, unix: Duration) -> Self {
        let channel = Channel::new(&config, seed, now, unix);
        Self {
            config,
            channel,
            plugin: Plugin::NotStarted,
            client_seen: false,
            next_send: now,
            ended: None,
        }
    }

    /// The text that ended the session; `None` while it runs.
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_deref().or_else(|| self.plugin.ended())
    }

    /// Whether it is busy with its destination; if so, do not call [`handle`](Self::handle).
    pub fn is_blocked(&self) -> bool {
        self.plugin.is_blocked()
    }

    /// In basic mode, bytes that it acknowledged and that are on their way to the destination, as in
    /// a socket's buffer.
    pub fn unwritten(&self) -> usize {
        self.plugin.unwritten()
    }

    /// Takes one websocket message.
    pub fn handle(&mut self, frame: Bytes, now: Instant) {
        self.client_seen = true;
        self.start_plugin(now);
        let mut served = Served {
            plugin: &mut self.plugin,
            terminated: false,
        };
        self.channel.handle(frame, now, &mut served);
        if served.terminated {
            self.ended.get_or_insert_default();
        }
        if let Some(text) = self.channel.failed() {
            self.ended.get_or_insert_with(|| text.to_owned());
        }
        self.start_plugin(now);
        self.end_shell(now);
    }

    /// Breaks the agent's websocket, or restores it. While it is broken, everything that the agent
    /// writes is lost. It repeats its own data, but does not count a message as received that it
    /// could not acknowledge: agents from 3.0.655.0 on have processed it by then, and process it
    /// again when the client repeats it.
    pub fn set_broken(&mut self, broken: bool) {
        self.channel.set_broken(broken);
    }

    /// Whether this message carries port data, has the expected number, and the port accepts it.
    pub fn processes(&mut self, frame: &Bytes, now: Instant) -> bool {
        let served = Served {
            plugin: &mut self.plugin,
            terminated: false,
        };
        self.channel.processes(frame, now, &served)
    }

    /// How many messages it processed more than once.
    pub fn repeated(&self) -> u64 {
        self.channel.repeated()
    }

    /// Sends HandshakeComplete if it was held back.
    pub fn release_handshake(&mut self, now: Instant) {
        self.channel.release(now);
        self.start_plugin(now);
    }

    /// Once the handshake, if the session has one, is complete, the agent starts its plugin. A shell
    /// without a handshake waits for its client here, so that a slow client sees its output too.
    fn start_plugin(&mut self, now: Instant) {
        if !matches!(self.plugin, Plugin::NotStarted) || self.ended.is_some() {
            return;
        }
        if self.client_seen
            && self.channel.is_open(now)
            && let Some(shell) = Shell::new(&self.config, now)
        {
            self.plugin = Plugin::Shell(shell);
            return;
        }
        let Some(client_version) = self.channel.client_version(now) else {
            return;
        };
        let client = parse_version(client_version);
        let agent = parse_version(&self.config.version);
        let properties = &self.config.properties;
        let denied = |address: &IpAddr| denylist::is_denied(*address, agent, self.config.vpc);
        if let Some(host) = properties.value("host").filter(|host| !host.is_empty())
            && self.config.addresses.iter().any(denied)
        {
            self.ended = Some(format!("Forwarding to IP address {host} is forbidden."));
            return;
        }
        let forwarding = properties.is_local_port_forwarding();
        self.plugin = if forwarding && agent > [3, 0, 196, 0] && client >= FIRST_MUX_CLIENT {
            let keepalive = client <= LAST_KEEPALIVE_CLIENT || agent <= [3, 1, 1511, 0];
            Plugin::Mux(MuxPort::new(keepalive, self.config.receive_buffer, now))
        } else {
            Plugin::Basic(Basic::new(!forwarding))
        };
    }

    /// A shell that has printed everything ends its session.
    fn end_shell(&mut self, now: Instant) {
        if self.ended.is_none()
            && let Plugin::Shell(shell) = &self.plugin
            && let Some(text) = shell.end(self.channel.is_acknowledged(), now)
        {
            let text = text.to_owned();
            self.channel.report_terminating(now);
            self.ended = Some(text);
        }
    }

    /// The next connection to make; report the outcome with [`dialled`](Self::dialled).
    pub fn poll_dial(&mut self) -> Option<ConnectionId> {
        self.plugin.poll_dial()
    }

    /// The outcome of a dial.
    pub fn dialled(&mut self, id: ConnectionId, outcome: Result<(), String>, now: Instant) {
        if self.plugin.dialled(id, outcome) {
            let flag = Flag::ConnectToPortError.to_bytes();
            self.channel.send(PayloadType::Flag, &flag, now);
        }
    }

    /// The next connection that has something for its destination.
    pub fn poll_ready(&mut self) -> Option<ConnectionId> {
        self.plugin.poll_ready()
    }

    /// The next thing to do for a connection's destination.
    pub fn next_for_destination(&mut self, id: ConnectionId) -> ToDestination {
        if self.ended().is_some() {
            return ToDestination::Close;
        }
        self.plugin.next_for_destination(id)
    }

    /// How many bytes to read from the destination now; `None` once the agent takes no more.
    pub fn room(&self, id: ConnectionId) -> Option<usize> {
        self.plugin.room(id)
    }

    /// The destination's bytes, at most [`room`](Self::room).
    pub fn destination_sent(&mut self, id: ConnectionId, data: &[u8]) {
        self.plugin.destination_sent(id, data);
    }

    /// The connection is closed, on either side's initiative.
    pub fn closed(&mut self, id: ConnectionId) {
        self.plugin.closed(id);
    }

    /// Sends port data that came from no destination.
    pub(crate) fn send_raw(&mut self, bytes: &[u8], now: Instant) {
        self.channel.send(PayloadType::Output, bytes, now);
    }

    /// The next message for the websocket. Without `more`, or while the websocket is broken, no new
    /// data of the plugin is sent.
    pub fn poll_transmit(&mut self, now: Instant, more: bool) -> Option<Bytes> {
        if let Some(message) = self.channel.poll_transmit() {
            return Some(message);
        }
        if !more || self.channel.is_broken() || !self.has_output() || now < self.next_send {
            return None;
        }
        let (kind, payload) = self.plugin.transmit(MAX_PAYLOAD, now);
        self.channel.send(kind, &payload, now);
        if self.config.paced {
            // Timers are coarser than the pace, so it is kept on average.
            let due = now
                .checked_sub(CATCH_UP)
                .map_or(self.next_send, |at| at.max(self.next_send));
            self.next_send = due + PACE;
        }
        self.channel.poll_transmit()
    }

    /// Nothing is read from the plugin while publication is paused.
    fn has_output(&self) -> bool {
        self.channel.is_active() && self.plugin.wants_transmit()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and
    /// [`poll_transmit`](Self::poll_transmit) again.
    pub fn poll_timeout(&self, now: Instant) -> Instant {
        let send = (self.has_output() && self.next_send > now).then_some(self.next_send);
        let waits = matches!(self.plugin, Plugin::NotStarted) && self.ended.is_none();
        let start = self.channel.plugin_due().filter(|_| waits);
        [self.plugin.poll_timeout(), send, start]
            .into_iter()
            .flatten()
            .fold(self.channel.poll_timeout(), Instant::min)
    }

    /// Runs the timers that are due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.channel.handle_timeout(now);
        self.start_plugin(now);
        self.plugin.handle_timeout(now);
        self.end_shell(now);
        if self.channel.has_timed_out(now) {
            self.ended = Some("The handshake timed out.".to_owned());
        }
    }
}
