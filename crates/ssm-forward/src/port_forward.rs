//! A whole port forward as one state machine: the data channel, and above it smux or basic mode.

mod basic;
mod channel;
mod half_close;
mod refusals;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ssm_protocol::payload::Flag;
use ssm_protocol::{Ready, Session};
use ssm_smux::StreamId;

use crate::{ForwardConfig, ForwardError, ForwardEvent, StreamRead, StreamWriteError};
use channel::Channel;
use half_close::HalfCloseTimers;
use refusals::Refusals;

/// One port forward.
///
/// See the [run loop](crate#the-run-loop).
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
    /// `seed` makes the ids of messages; `unix_time` is the time since the Unix epoch at `now`.
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

    /// What the handshake settled, once it is complete.
    pub fn ready(&self) -> Option<&Ready> {
        self.ready.as_ref()
    }

    /// Whether many streams can be open at once (smux); if not, one at a time.
    pub fn is_multiplexed(&self) -> bool {
        matches!(self.channel, Channel::Mux(_))
    }

    /// Grows with every message that got through for the first time, either way.
    pub fn progress(&self) -> u64 {
        let stats = self.session.stats();
        stats.received + stats.acknowledged
    }

    /// Smoothed, from a message's transmission to its acknowledgement.
    pub fn round_trip(&self) -> Option<Duration> {
        self.session.stats().round_trip
    }

    /// A random UUID, for `open_data_channel` and for requests to the service.
    pub fn uuid(&mut self) -> uuid::Uuid {
        self.session.uuid()
    }

    /// A websocket is open, the first or another; `open_data_channel` was sent on it.
    pub fn connected(&mut self, now: Instant) {
        self.session.connected(now);
        self.update_half_close(now);
    }

    /// The websocket is gone. What was unacknowledged is sent again once there is another.
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

    /// To be called before time is looked at, and after anything happened.
    fn update_half_close(&mut self, now: Instant) {
        self.half_close
            .update(&mut self.session, &mut self.channel, now);
    }

    /// Takes one websocket message.
    ///
    /// # Errors
    ///
    /// The port forward cannot go on: the agent broke the protocol or asks for what is unsupported.
    pub fn handle_message(&mut self, message: Bytes, now: Instant) -> Result<(), ForwardError> {
        self.update_half_close(now);
        let outcome = self.session.handle_message(message, now);
        let drained = self.drain(now);
        self.update_half_close(now);
        drained?;
        Ok(outcome?)
    }

    /// Translates what the lower layers have to say.
    fn drain(&mut self, now: Instant) -> Result<(), ForwardError> {
        while let Some(event) = self.session.poll_event() {
            match event {
                ssm_protocol::SessionEvent::Ready(ready) => self.become_ready(ready, now),
                ssm_protocol::SessionEvent::Data(data) => match &mut self.channel {
                    Channel::Mux(mux) => {
                        mux.handle(data, now)?;
                        self.drain_mux();
                    }
                    Channel::Basic(basic) => self.events.extend(basic.handle(data, now)),
                    Channel::Pending => {}
                },
                ssm_protocol::SessionEvent::Flag(Flag::ConnectToPortError) => {
                    self.refusals.handle_flag();
                    self.events.push_back(ForwardEvent::Refused);
                }
                ssm_protocol::SessionEvent::ChannelClosed { output } => {
                    if output.is_empty()
                        && self.ends_with_connection()
                        && self.session.stats().reordering == 0
                        && let Channel::Basic(basic) = &mut self.channel
                    {
                        self.events.extend(basic.end_of_session());
                    }
                    self.events
                        .push_back(ForwardEvent::ChannelClosed { output });
                }
                ssm_protocol::SessionEvent::Paused => {
                    self.agent_away();
                    self.events.push_back(ForwardEvent::Paused(true));
                }
                ssm_protocol::SessionEvent::Started => {
                    self.events.push_back(ForwardEvent::Paused(false))
                }
                other => tracing::debug!(event = ?other, "ignored"),
            }
        }
        Ok(())
    }

    /// The agent's websocket broke. What it had processed and not acknowledged it processes again:
    /// messages of smux are built for that, a basic session's bytes are doubled.
    fn agent_away(&mut self) {
        if self.session.is_delivered() {
            return;
        }
        if let Channel::Basic(basic) = &mut self.channel {
            self.events.extend(basic.may_be_doubled());
        }
    }

    /// With the SSH document the agent ends the session when its port closes; without, an end
    /// without a complaint is an idle time-out or somebody's TerminateSession.
    fn ends_with_connection(&self) -> bool {
        self.ready
            .as_ref()
            .is_some_and(|ready| !ready.properties.is_local_port_forwarding())
    }

    fn become_ready(&mut self, ready: Ready, now: Instant) {
        self.channel = Channel::new(&ready, &self.config, now);
        self.half_close.became_ready(&mut self.channel, now);
        self.ready = Some(ready);
        self.events.push_back(ForwardEvent::Ready);
    }

    fn drain_mux(&mut self) {
        let Channel::Mux(mux) = &mut self.channel else {
            return;
        };
        while let Some(id) = mux.poll_unserved() {
            self.refusals.unserved(id, mux.is_open(id));
        }
        while let Some(event) = mux.poll_event() {
            match event {
                ssm_smux::MuxEvent::Readable(id) | ssm_smux::MuxEvent::Finished(id) => {
                    self.events.push_back(ForwardEvent::Readable(id));
                }
                ssm_smux::MuxEvent::Writable(id) => {
                    self.events.push_back(ForwardEvent::Writable(id))
                }
                ssm_smux::MuxEvent::Opened(id) => {
                    tracing::debug!(stream = %id, "the agent opened a stream, which it never should");
                    mux.reset(id);
                }
                other => tracing::debug!(event = ?other, "ignored"),
            }
        }
    }

    /// Opens a stream; `None` when none can be opened now.
    pub fn open(&mut self) -> Option<StreamId> {
        self.channel.open()
    }

    /// Whether a basic session carries, or still disconnects, a connection.
    fn is_busy(&self) -> bool {
        matches!(&self.channel, Channel::Basic(basic) if basic.is_busy())
    }

    /// Whether a basic session had a connection and has none now.
    pub fn is_spent(&self) -> bool {
        matches!(&self.channel, Channel::Basic(basic) if basic.was_used() && !basic.is_busy())
    }

    /// Whether the destination sent anything: the agent's own two messages are the handshake's.
    pub fn was_answered(&self) -> bool {
        self.session.stats().received > 2
    }

    /// Everything written was sent and acknowledged, and ended streams were written out.
    pub fn is_drained(&self) -> bool {
        !self.wants_transmit() && !self.channel.is_unanswered() && self.session.is_delivered()
    }

    /// The next bytes of a stream, or how it ended.
    pub fn read(&mut self, id: StreamId) -> StreamRead {
        match self.channel.read(id) {
            StreamRead::Finished if self.refusals.contains(id) => StreamRead::Refused,
            other => other,
        }
    }

    /// Bytes that [`write`](Self::write) takes now; after a 0 [`ForwardEvent::Writable`] follows. `None`
    /// when the stream takes none any more.
    pub fn writable(&mut self, id: StreamId) -> Option<usize> {
        self.channel.writable(id)
    }

    /// Whether the agent may have passed on some of what was written twice.
    pub fn is_doubled(&self, id: StreamId) -> bool {
        matches!(&self.channel, Channel::Basic(basic) if basic.is_doubled(id))
    }

    /// Queues bytes of a stream, all or none.
    ///
    /// # Errors
    ///
    /// More than [`writable`](Self::writable) allows, or the stream is closed.
    pub fn write(&mut self, id: StreamId, data: Bytes) -> Result<(), StreamWriteError> {
        self.channel.write(id, data)
    }

    /// Local end-of-file: nothing more is written, and the answer may still come.
    pub fn finish(&mut self, id: StreamId, now: Instant) {
        self.channel.finish(id, now);
    }

    /// How many connections wait for the one that a basic session carries: a half-closed one then
    /// waits less long for its answer.
    pub fn set_waiting(&mut self, waiting: usize) {
        self.channel.set_waiting(waiting);
    }

    /// Sends what is queued, then ends the stream both ways.
    pub fn close(&mut self, id: StreamId) {
        self.refusals.forget(id);
        self.channel.close(id);
    }

    /// Ends the stream both ways at once.
    pub fn reset(&mut self, id: StreamId) {
        self.refusals.forget(id);
        self.channel.reset(id);
    }

    /// Tells the agent that the session ends, where it understands that.
    pub fn terminate(&mut self, now: Instant) {
        if self
            .ready
            .as_ref()
            .is_some_and(|ready| ready.capabilities.terminate_flag)
        {
            self.session.send_flag(Flag::TerminateSession, now);
        }
    }

    /// Bytes received that local readers have not taken.
    #[cfg(test)]
    pub(crate) fn buffered(&self) -> usize {
        self.channel.buffered()
    }

    #[cfg(test)]
    pub(crate) fn stats(&self) -> ssm_protocol::Stats {
        self.session.stats()
    }

    /// Local readers are behind: stop reading the websocket until they caught up.
    pub fn receive_paused(&self) -> bool {
        self.channel.receive_paused()
    }

    /// More acknowledgements wait than should: stop reading the websocket until it took some.
    pub fn acknowledgements_wait(&self) -> bool {
        self.session.receive_paused()
    }

    /// The next message for the websocket. Call until `None`.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        self.next_message(now)
    }

    fn wants_transmit(&self) -> bool {
        self.channel.wants_transmit()
    }

    /// An agent that hangs up without keep-alives does so too when the window is full, because its
    /// acknowledgements wait behind slow local readers, say.
    fn keep_alive(&mut self, now: Instant) -> bool {
        let Channel::Mux(mux) = &mut self.channel else {
            return false;
        };
        if !mux.keepalive_due() {
            return false;
        }
        let sent = self.session.send_small(now, |frame, max| {
            mux.poll_keepalive(frame, max);
        });
        sent > 0
    }

    fn next_message(&mut self, now: Instant) -> Option<Bytes> {
        loop {
            if let Some(message) = self.session.poll_transmit(now) {
                return Some(message);
            }
            if self.session.send_room() == 0 {
                if self.keep_alive(now) {
                    continue;
                }
                if !self.is_busy() {
                    return None;
                }
            }
            match &mut self.channel {
                Channel::Pending => return None,
                Channel::Mux(mux) => {
                    if !mux.wants_transmit() {
                        return None;
                    }
                    let sent = self.session.send_with(now, |frame, max| {
                        mux.poll_transmit(frame, max);
                    });
                    if mux.take_overtook() {
                        self.session.favour_latency(now);
                    }
                    self.drain_mux();
                    if sent == 0 {
                        return None;
                    }
                }
                Channel::Basic(basic) => {
                    let before = self.session.stats().unacknowledged;
                    self.events
                        .extend(basic.poll_transmit(&mut self.session, now));
                    if self.session.stats().unacknowledged == before {
                        return None;
                    }
                }
            }
        }
    }

    /// The next event. Call until `None`.
    pub fn poll_event(&mut self) -> Option<ForwardEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), unless something happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let session = self.session.poll_timeout().map(|(at, _)| at);
        let channel = self.channel.poll_timeout();
        session.into_iter().chain(channel).min()
    }

    /// Runs the timers that are due at `now`.
    ///
    /// # Errors
    ///
    /// A deadline passed: the handshake, or the wait for an agent that says nothing.
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
