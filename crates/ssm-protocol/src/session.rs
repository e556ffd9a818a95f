//! The data channel as a state machine.
//!
//! | file | what it holds |
//! |---|---|
//! | `handshake.rs` | the handshake, and which session types and actions are accepted |
//! | `receive.rs` | order, duplicates, acknowledgements; [`SessionEvent`] gives each payload its event |
//! | `send.rs` | messages, the outbox, retransmission, the window |
//! | `pause.rs` | what is sent while publication is paused |
//! | `timer.rs`, `stats.rs` | deadlines and counters |
//!
//! Every payload, of whatever type, leaves through `push_frame` (`send.rs`) and arrives in order in
//! `process` (`receive.rs`).

mod handshake;
mod pause;
mod receive;
mod send;
mod stats;
mod timer;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;
use uuid::Uuid;

use crate::config::SessionConfig;
use crate::error::SessionError;
use crate::event::SessionEvent;
use crate::payload::HandshakeRequest;
use crate::wire::{MessageId, MessageType, PayloadType};
use handshake::Handshake;
use receive::{Inbox, Taken};
use send::Outbox;
pub use stats::Stats;
pub use timer::SessionTimer;

/// One side of a data channel for the whole life of a session. A session outlives its websockets, and
/// its sequence numbers continue across them.
///
/// The contract: after every call that takes `&mut self`, drain [`poll_transmit`](Self::poll_transmit)
/// and [`poll_event`](Self::poll_event), and take the new [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Session {
    side: Side,
    config: SessionConfig,
    started: Instant,
    started_unix: Duration,
    /// Message ids only have to differ, so a fast generator serves.
    rng: fastrand::Rng,
    handshake: Handshake,
    /// Set by the first connection.
    handshake_deadline: Option<Instant>,
    inbox: Inbox,
    outbox: Outbox,
    acknowledgements: VecDeque<Taken>,
    events: VecDeque<SessionEvent>,
    connected: bool,
    paused: bool,
    /// During a pause: when the next probe may be sent.
    probe_at: Option<Instant>,
    /// The probe may be sent now.
    probe_due: bool,
    /// The caller hands in no messages at present.
    receive_paused: bool,
    closed: bool,
    /// When the silence of the peer began, as far as it matters: while data is unacknowledged.
    silent_since: Instant,
    bad_in_a_row: u32,
    stats: Stats,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Agent,
}

impl Side {
    fn sends(self) -> MessageType {
        match self {
            Self::Client => MessageType::InputStreamData,
            Self::Agent => MessageType::OutputStreamData,
        }
    }

    fn receives(self) -> MessageType {
        match self {
            Self::Client => Self::Agent.sends(),
            Self::Agent => Self::Client.sends(),
        }
    }
}

/// No data can be sent now: the handshake is not complete, the websocket is down, publication is
/// paused, or the window is full. Try again after the next event or acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the session cannot take data now")]
pub struct NotReady;

impl Session {
    /// The client's side: answers the agent's handshake. `unix_time` is the time since the Unix epoch
    /// at `now`; the message ids are derived from `seed`, which must differ between sessions but need
    /// not be secret.
    pub fn client(
        config: SessionConfig,
        seed: [u8; 32],
        now: Instant,
        unix_time: Duration,
    ) -> Self {
        Self::new(
            Side::Client,
            Handshake::AwaitingRequest,
            config,
            seed,
            now,
            unix_time,
        )
    }

    /// The agent's side: sends `request`, then waits for the response.
    pub fn agent(
        config: SessionConfig,
        request: HandshakeRequest,
        seed: [u8; 32],
        now: Instant,
        unix_time: Duration,
    ) -> Self {
        let body = handshake::json(&request);
        let handshake = Handshake::AwaitingResponse { request };
        let mut session = Self::new(Side::Agent, handshake, config, seed, now, unix_time);
        session.push(PayloadType::HandshakeRequest, &body, now);
        session
    }

    fn new(
        side: Side,
        handshake: Handshake,
        config: SessionConfig,
        seed: [u8; 32],
        now: Instant,
        unix_time: Duration,
    ) -> Self {
        Self {
            side,
            started: now,
            started_unix: unix_time,
            rng: generator(&seed),
            handshake,
            handshake_deadline: None,
            inbox: Inbox::new(config.reorder_bytes),
            outbox: Outbox::new(&config, now),
            acknowledgements: VecDeque::new(),
            events: VecDeque::new(),
            connected: false,
            paused: false,
            probe_at: None,
            probe_due: false,
            receive_paused: false,
            closed: false,
            silent_since: now,
            bad_in_a_row: 0,
            stats: Stats::default(),
            config,
        }
    }

    /// Call when a websocket is open and its OpenDataChannel message was sent. Unacknowledged messages
    /// are retransmitted in order.
    pub fn connected(&mut self, now: Instant) {
        self.connected = true;
        self.heard(now);
        if self.handshake_deadline.is_none() {
            self.handshake_deadline = now.checked_add(self.config.handshake_timeout);
        }
        if let Handshake::Settling { until, .. } = self.handshake
            && until <= now
        {
            self.settle();
        }
        self.outbox.resend_all();
    }

    /// Call when the websocket is gone. Nothing is lost, and nothing is transmitted until
    /// [`connected`](Self::connected).
    pub fn disconnected(&mut self) {
        // The session is resumed like any other that was ready.
        if let Handshake::Settling { ready, .. } = &mut self.handshake
            && let Some(ready) = ready.take()
        {
            self.announce(ready);
        }
        self.connected = false;
        // The peer retransmits what it has no acknowledgement for.
        self.acknowledgements.clear();
    }

    /// Whether a websocket is open.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Tells the session whether the caller has stopped handing in messages because its buffers are
    /// full. While it has, acknowledgements cannot arrive: nothing is retransmitted, and the peer's
    /// silence does not count.
    pub fn set_receive_paused(&mut self, receive_paused: bool, now: Instant) {
        if self.receive_paused && !receive_paused {
            self.silent_since = now;
            self.outbox.restart_timer(now);
        }
        self.receive_paused = receive_paused;
    }

    fn heard(&mut self, now: Instant) {
        self.silent_since = now;
        self.set_paused(false, now);
    }

    /// Whether the handshake is complete, as [`SessionEvent::Ready`] said.
    pub fn is_ready(&self) -> bool {
        matches!(
            self.handshake,
            Handshake::Complete | Handshake::Settling { ready: None, .. }
        )
    }

    /// Whether HandshakeComplete was sent or received.
    fn has_completed_handshake(&self) -> bool {
        matches!(
            self.handshake,
            Handshake::Complete | Handshake::Settling { .. }
        )
    }

    /// Whether the agent keeps data that it receives.
    fn is_settled(&self) -> bool {
        matches!(self.handshake, Handshake::Complete)
    }

    fn unix_time(&self, now: Instant) -> Duration {
        self.started_unix
            .saturating_add(now.saturating_duration_since(self.started))
    }

    fn message_id(&mut self) -> MessageId {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        MessageId(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// A UUID derived from the session's seed, for the ids in OpenDataChannel.
    pub fn uuid(&mut self) -> Uuid {
        self.message_id().0
    }

    /// The next message to transmit, as one binary websocket frame: acknowledgements first, then
    /// retransmissions, then new data. Call until `None`. Round-trip times are measured from this call,
    /// so make it only when the socket can take more.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if !self.connected {
            return None;
        }
        if let Some(acknowledgement) = self.poll_acknowledgement(now) {
            return Some(acknowledgement);
        }
        if self.closed {
            return None;
        }
        if self.paused {
            return self.poll_probe(now);
        }
        self.outbox.poll(now).or_else(|| self.poll_inquiry(now))
    }

    /// The next event for the application. Call until `None`.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why.
    ///
    /// The value may change after every call that takes `&mut self`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, SessionTimer)> {
        if self.closed {
            return None;
        }
        let (handshake, settled) = match self.handshake {
            Handshake::Complete => (None, None),
            Handshake::Settling { until, .. } => (None, Some(until)),
            _ => (self.handshake_deadline, None),
        };
        let listening = self.connected && !self.receive_paused;
        let retransmit = (listening && !self.paused)
            .then(|| self.outbox.deadline())
            .flatten();
        let probe = (listening && self.paused && !self.probe_due)
            .then_some(self.probe_at)
            .flatten();
        let silent = (listening && !self.outbox.is_delivered())
            .then(|| self.silent_since.checked_add(self.config.peer_timeout))
            .flatten();
        timer::earliest([
            (SessionTimer::Handshake, handshake),
            (SessionTimer::Settled, settled),
            (SessionTimer::Retransmit, retransmit),
            (SessionTimer::PauseProbe, probe),
            (SessionTimer::PeerSilent, silent),
        ])
    }

    /// Acts on the deadlines that have passed. Early and repeated calls are harmless.
    ///
    /// # Errors
    /// [`SessionError::HandshakeTimeout`] and [`SessionError::PeerSilent`], which end the session.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        while let Some((at, timer)) = self.poll_timeout()
            && at <= now
        {
            match timer {
                SessionTimer::Handshake => {
                    return Err(SessionError::HandshakeTimeout {
                        after: self.config.handshake_timeout,
                    });
                }
                SessionTimer::PeerSilent => {
                    return Err(SessionError::PeerSilent {
                        after: self.config.peer_timeout,
                    });
                }
                SessionTimer::Settled => self.settle(),
                SessionTimer::PauseProbe => self.probe_due = true,
                SessionTimer::Retransmit => self.outbox.handle_timeout(now),
            }
        }
        Ok(())
    }

    /// Whether the peer has processed all data: it acknowledged every message up to the last one with a
    /// payload.
    pub fn is_delivered(&self) -> bool {
        self.outbox.is_delivered()
    }

    /// Whether the peer acknowledged the stream-data message with this sequence number. It may still
    /// wait there for an earlier one.
    pub fn is_acknowledged(&self, number: u64) -> bool {
        self.outbox.is_acknowledged(number)
    }

    /// Bytes of memory held for sent messages, without the allocator's overhead.
    #[cfg(test)]
    pub(crate) fn held_for_sending(&self) -> usize {
        self.outbox.held()
    }
}

/// A generator for message ids; the whole seed counts.
fn generator(seed: &[u8; 32]) -> fastrand::Rng {
    let (words, _) = seed.as_chunks::<8>();
    fastrand::Rng::with_seed(words.iter().fold(0, |seed: u64, word| {
        seed.rotate_left(17) ^ u64::from_le_bytes(*word)
    }))
}
