//! A whole port forward as one state machine: the data channel, and above it smux or basic mode.

mod basic;
mod channel;
mod events;
mod half_close;
mod refusals;
mod streams;
mod transmit;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ssm_protocol::payload::Flag;
use ssm_protocol::{Ready, Session};

use crate::{ForwardConfig, ForwardError, ForwardEvent};
use channel::Channel;
use half_close::HalfCloseTimers;
use refusals::Refusals;

/// One port forward: the client's end of one session, and the streams that it carries.
///
/// How to drive it: [the run loop](crate#the-run-loop).
#[derive(Debug)]
pub struct PortForward {
    session: Session,
    channel: Channel,
    config: ForwardConfig,
    ready: Option<Ready>,
    refusals: Refusals,
    events: VecDeque<ForwardEvent>,
    half_close: HalfCloseTimers,
}

impl PortForward {
    /// A port forward whose websocket is not open yet.
    ///
    /// `seed` makes the ids of messages and requests; `unix_time` is the time since the Unix epoch at
    /// `now`, and dates the messages.
    pub fn new(config: ForwardConfig, seed: [u8; 32], now: Instant, unix_time: Duration) -> Self {
        Self {
            session: Session::client(config.session.clone(), seed, now, unix_time),
            channel: Channel::Pending,
            ready: None,
            refusals: Refusals::default(),
            events: VecDeque::new(),
            half_close: HalfCloseTimers::new(config.half_close_quiet),
            config,
        }
    }

    /// The outcome of the handshake: the agent's version, capabilities and properties. `None` until
    /// it is complete.
    pub fn ready(&self) -> Option<&Ready> {
        self.ready.as_ref()
    }

    /// Whether many streams can be open at once (smux) rather than one at a time (basic mode).
    /// `false` until the handshake is complete.
    pub fn is_multiplexed(&self) -> bool {
        matches!(self.channel, Channel::Mux(_))
    }

    /// Messages received for the first time and messages acknowledged, so far. A websocket over which
    /// this does not grow carries nothing.
    pub fn progress(&self) -> u64 {
        let stats = self.session.stats();
        stats.received + stats.acknowledged
    }

    /// The smoothed round trip: from a message's transmission to its acknowledgement. `None` until it
    /// has been measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.session.stats().round_trip
    }

    /// A random UUID, for the client id and the request id of `open_data_channel`.
    pub fn uuid(&mut self) -> uuid::Uuid {
        self.session.uuid()
    }

    /// A websocket is open, the first or a later one, and `open_data_channel` was sent on it. What is
    /// unacknowledged is sent again.
    pub fn connected(&mut self, now: Instant) {
        self.session.connected(now);
        self.update_half_close(now);
    }

    /// The websocket is lost. Until [`connected`](Self::connected) is called again, no time-out of
    /// the agent runs.
    ///
    /// # Errors
    ///
    /// As [`handle_message`](Self::handle_message), for what had arrived before.
    pub fn disconnected(&mut self, now: Instant) -> Result<(), ForwardError> {
        self.session.disconnected();
        self.half_close.disconnected();
        // It may have become ready.
        self.drain(now)
    }

    /// Call this before any timer is checked and after anything happened.
    fn update_half_close(&mut self, now: Instant) {
        self.half_close
            .update(&mut self.session, &mut self.channel, now);
    }

    /// Takes one binary message of the websocket. A damaged or unknown message is dropped and counted
    /// ([`ssm_protocol::SessionConfig::max_bad_messages`]).
    ///
    /// # Errors
    ///
    /// The session cannot go on: the agent broke the protocol, or requires what is unsupported.
    pub fn handle_message(&mut self, message: Bytes, now: Instant) -> Result<(), ForwardError> {
        self.update_half_close(now);
        let outcome = self.session.handle_message(message, now);
        let drained = self.drain(now);
        self.update_half_close(now);
        drained?;
        Ok(outcome?)
    }

    /// Asks the agent to end the session, if it supports the TerminateSession flag. Drain
    /// [`poll_transmit`](Self::poll_transmit) afterwards.
    pub fn terminate(&mut self, now: Instant) {
        if self
            .ready
            .as_ref()
            .is_some_and(|ready| ready.capabilities.terminate_flag)
        {
            self.session.send_flag(Flag::TerminateSession, now);
        }
    }

    /// Bytes received that have not been read.
    #[cfg(test)]
    pub(crate) fn buffered(&self) -> usize {
        self.channel.buffered()
    }

    #[cfg(test)]
    pub(crate) fn stats(&self) -> ssm_protocol::Stats {
        self.session.stats()
    }

    /// Whether readers are behind by [`ForwardConfig::session_receive_budget`]: do not read the
    /// websocket until this is `false` again. Reading or ending streams makes it so.
    pub fn receive_paused(&self) -> bool {
        self.channel.receive_paused()
    }

    /// Whether the websocket takes acknowledgements too slowly: do not read it until it has taken some
    /// messages from [`poll_transmit`](Self::poll_transmit).
    pub fn acknowledgements_wait(&self) -> bool {
        self.session.receive_paused()
    }

    /// The next event. Call this until it returns `None`, after every call that takes `&mut self`.
    pub fn poll_event(&mut self) -> Option<ForwardEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) unless something happens before; `None`
    /// for never. Ask again after every call that takes `&mut self`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let session = self.session.poll_timeout().map(|(at, _)| at);
        let channel = self.channel.poll_timeout();
        session.into_iter().chain(channel).min()
    }

    /// Runs the timers that are due at `now`.
    ///
    /// # Errors
    ///
    /// A deadline passed: the handshake was not complete in time, or the agent has been silent for too
    /// long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ForwardError> {
        self.update_half_close(now);
        self.session.handle_timeout(now)?;
        match &mut self.channel {
            Channel::Pending => {}
            Channel::Mux(mux) => {
                mux.handle_timeout(now)?;
                self.drain_mux();
            }
            Channel::Basic(basic) => self.events.extend(basic.handle_timeout(now)),
        }
        self.drain(now)
    }
}
