//! The data channel as a state machine.

mod handshake;
mod inbox;
mod outbox;
mod rtt;
mod timer;
mod window;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use thiserror::Error;
use uuid::Uuid;

use crate::config::SessionConfig;
use crate::error::SessionError;
use crate::event::{Event, Ready};
use crate::payload::{
    Acknowledge, ActionStatus, ChannelClosed, Flag, HandshakeComplete, HandshakeRequest,
    HandshakeResponse,
};
use crate::version::{Capabilities, settling_time};
use crate::wire::{
    DecodeError, Flags, Header, Message, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType,
    SequenceNumber,
};
use handshake::Handshake;
use inbox::{Arrival, Inbox};
use outbox::Outbox;
pub use timer::Timer;

/// One side of a data channel, for the session's whole life: over any number of websockets the
/// sequence numbers go on.
///
/// The contract: after every call that takes `&mut self`, drain [`poll_transmit`](Self::poll_transmit)
/// and [`poll_event`](Self::poll_event), and take the new [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Session {
    side: Side,
    config: SessionConfig,
    started: Instant,
    started_unix: Duration,
    rng: ChaCha8Rng,
    handshake: Handshake,
    /// Set by the first connection.
    handshake_deadline: Option<Instant>,
    inbox: Inbox,
    outbox: Outbox,
    acknowledgements: VecDeque<Bytes>,
    events: VecDeque<Event>,
    connected: bool,
    paused: bool,
    closed: bool,
    /// Since when the peer owes us a sign of life, if data is unacknowledged.
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

/// Nothing can be sent now: the handshake is not complete, the websocket is down, publication is
/// paused, or the window is full. Try again after the next event or acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the session cannot take data now")]
pub struct NotReady;

/// Counters of one session since its start, and its state now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Stream-data messages delivered in order.
    pub received: u64,
    /// Stream-data messages the peer acknowledged.
    pub acknowledged: u64,
    /// Messages that arrived again.
    pub duplicates: u64,
    /// Messages that could not be read and were dropped.
    pub bad: u64,
    /// Stream-data messages transmitted again.
    pub retransmitted: u64,
    /// Payload bytes sent and not acknowledged.
    pub unacknowledged: usize,
    /// Bytes kept of messages that arrived ahead of a missing one.
    pub reordering: usize,
    /// Payload bytes that may be unacknowledged now.
    pub window: usize,
    /// Smoothed round-trip time, from a message's transmission to its acknowledgement.
    pub round_trip: Option<Duration>,
}

impl Session {
    /// The client's side: answers the agent's handshake. `unix_time` is the time since the Unix
    /// epoch at `now`; `seed` makes the message ids.
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

    /// The agent's side: asks for `request`, then waits for the answer.
    pub fn agent(
        config: SessionConfig,
        request: HandshakeRequest,
        seed: [u8; 32],
        now: Instant,
        unix_time: Duration,
    ) -> Self {
        let body = json(&request);
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
            rng: ChaCha8Rng::from_seed(seed),
            handshake,
            handshake_deadline: None,
            inbox: Inbox::new(config.reorder_bytes),
            outbox: Outbox::new(&config, now),
            acknowledgements: VecDeque::new(),
            events: VecDeque::new(),
            connected: false,
            paused: false,
            closed: false,
            silent_since: now,
            bad_in_a_row: 0,
            stats: Stats::default(),
            config,
        }
    }

    /// A websocket is open and its OpenDataChannel message was sent. What is unacknowledged goes
    /// again, in order.
    pub fn connected(&mut self, now: Instant) {
        self.connected = true;
        self.heard(now);
        self.handshake_deadline
            .get_or_insert(now + self.config.handshake_timeout);
        self.outbox.resend_all();
    }

    /// The websocket is gone. Nothing is lost; nothing is transmitted until the next one.
    pub fn disconnected(&mut self) {
        // The agent will have settled before the next one is open.
        self.settle();
        self.connected = false;
        // The peer sends again what it has no acknowledgement of.
        self.acknowledgements.clear();
    }

    /// Takes one websocket message.
    ///
    /// A message that cannot be read is dropped, counted and not acknowledged, so that the peer
    /// sends it again.
    ///
    /// # Errors
    /// When the session cannot go on. Drain [`poll_transmit`](Self::poll_transmit) once more: the
    /// refusal the peer is owed may wait there.
    pub fn handle_message(&mut self, frame: Bytes, now: Instant) -> Result<(), SessionError> {
        if self.closed {
            return Ok(());
        }
        let message = match Message::decode(frame).and_then(sequenced) {
            Ok(message) => message,
            Err(error) => return self.drop_bad(error),
        };
        self.bad_in_a_row = 0;
        match &message.header.message_type {
            MessageType::StartPublication => self.heard(now),
            MessageType::PausePublication => self.set_paused(true),
            MessageType::Acknowledge => {
                self.heard(now);
                self.handle_acknowledge(&message.payload, now);
            }
            MessageType::ChannelClosed => {
                // The handshake did not fail: the port did.
                self.settle();
                self.closed = true;
                let body = ChannelClosed::read(&message.payload).unwrap_or_default();
                self.events.push_back(Event::ChannelClosed {
                    output: body.output,
                });
            }
            kind if *kind == self.side.receives() => {
                self.heard(now);
                return self.handle_stream_data(message, now);
            }
            other => tracing::debug!(message_type = %other, "ignored message"),
        }
        Ok(())
    }

    fn drop_bad(&mut self, error: DecodeError) -> Result<(), SessionError> {
        tracing::warn!(%error, "dropped unreadable message");
        self.stats.bad += 1;
        self.bad_in_a_row += 1;
        if self.bad_in_a_row >= self.config.max_bad_messages {
            return Err(SessionError::BadMessages {
                count: self.bad_in_a_row,
                last: error,
            });
        }
        Ok(())
    }

    fn heard(&mut self, now: Instant) {
        self.silent_since = now;
        self.set_paused(false);
    }

    fn set_paused(&mut self, paused: bool) {
        if self.paused != paused {
            self.paused = paused;
            self.events.push_back(if paused {
                Event::Paused
            } else {
                Event::Started
            });
        }
    }

    fn handle_acknowledge(&mut self, payload: &[u8], now: Instant) {
        match Acknowledge::read(payload) {
            Ok(body) if body.message_type == self.side.sends() => {
                if let Ok(number) = u64::try_from(body.sequence_number.0) {
                    self.stats.acknowledged += u64::from(self.outbox.acknowledge(number, now));
                }
            }
            Ok(body) => tracing::debug!(of = %body.message_type, "ignored acknowledgement"),
            Err(error) => tracing::debug!(%error, "ignored unreadable acknowledgement"),
        }
    }

    fn handle_stream_data(&mut self, message: Message, now: Instant) -> Result<(), SessionError> {
        let acknowledge = Acknowledge {
            message_type: message.header.message_type.clone(),
            message_id: message.header.message_id,
            sequence_number: message.header.sequence_number,
        };
        let number = u64::try_from(message.header.sequence_number.0).unwrap_or_default();
        match self.inbox.receive(number, message) {
            Arrival::InOrder(message) => {
                self.acknowledge(&acknowledge, now);
                let mut next = Some(message);
                while let Some(message) = next {
                    self.process(message, now)?;
                    next = self.inbox.next_ready();
                }
            }
            Arrival::Ahead => self.acknowledge(&acknowledge, now),
            Arrival::Duplicate => {
                self.stats.duplicates += 1;
                self.acknowledge(&acknowledge, now);
            }
            Arrival::Refused => tracing::debug!(number, "no room ahead of a missing message"),
        }
        Ok(())
    }

    /// One stream-data message, in order.
    fn process(&mut self, message: Message, now: Instant) -> Result<(), SessionError> {
        self.stats.received += 1;
        let payload = message.payload;
        if message.header.payload_type == PayloadType::Output {
            // Its port is connected, so it keeps data.
            self.settle();
        }
        match message.header.payload_type {
            PayloadType::HandshakeRequest => self.handle_handshake_request(&payload, now),
            PayloadType::HandshakeResponse => self.handle_handshake_response(&payload, now),
            PayloadType::HandshakeComplete => self.handle_handshake_complete(&payload, now),
            _ if !self.is_ready() => match self.side {
                Side::Client => Err(SessionError::DataBeforeHandshake),
                // Acknowledged, then thrown away: `aws/amazon-ssm-agent`
                // `agent/session/datachannel/datachannel.go` @01dfe74e.
                Side::Agent => {
                    tracing::debug!("ignored data before the handshake was complete");
                    Ok(())
                }
            },
            kind => {
                let flag = (kind == PayloadType::Flag)
                    .then(|| Flag::read(&payload))
                    .flatten();
                self.events.push_back(match (kind, flag) {
                    (PayloadType::Output, _) => Event::Data(payload),
                    (_, Some(flag)) => Event::Flag(flag),
                    (kind, None) => Event::Other(kind, payload),
                });
                Ok(())
            }
        }
    }

    fn handle_handshake_request(&mut self, body: &[u8], now: Instant) -> Result<(), SessionError> {
        if !matches!(self.handshake, Handshake::AwaitingRequest) {
            tracing::debug!("ignored handshake request out of turn");
            return Ok(());
        }
        let request: HandshakeRequest = read("HandshakeRequest", body)?;
        let (response, outcome) = handshake::answer(&request, &self.config.client_version);
        self.push(PayloadType::HandshakeResponse, &json(&response), now);
        self.handshake = Handshake::AwaitingComplete {
            agent_version: request.agent_version,
            properties: outcome?,
        };
        Ok(())
    }

    fn handle_handshake_response(&mut self, body: &[u8], now: Instant) -> Result<(), SessionError> {
        let Handshake::AwaitingResponse { request } = &self.handshake else {
            tracing::debug!("ignored handshake response out of turn");
            return Ok(());
        };
        let response: HandshakeResponse = read("HandshakeResponse", body)?;
        let refused = response
            .processed_client_actions
            .iter()
            .find(|action| action.action_status != ActionStatus::Success);
        if let Some(action) = refused {
            return Err(SessionError::Refused {
                action: action.action_type.clone(),
                reason: action.error.clone(),
            });
        }
        let properties = request
            .requested_client_actions
            .iter()
            .find_map(|action| action.session_type())
            .map(|(_, properties)| properties)
            .unwrap_or_default();
        let ready = Ready {
            capabilities: Capabilities::of(&request.agent_version, &properties),
            peer_version: response.client_version,
            properties,
            customer_message: String::new(),
        };
        let took = now.saturating_duration_since(self.started);
        let complete = HandshakeComplete {
            handshake_time_to_complete: i64::try_from(took.as_nanos()).unwrap_or(i64::MAX),
            customer_message: String::new(),
        };
        self.push(PayloadType::HandshakeComplete, &json(&complete), now);
        self.become_ready(ready);
        Ok(())
    }

    fn handle_handshake_complete(&mut self, body: &[u8], now: Instant) -> Result<(), SessionError> {
        let Handshake::AwaitingComplete {
            agent_version,
            properties,
        } = &mut self.handshake
        else {
            tracing::debug!("ignored handshake completion out of turn");
            return Ok(());
        };
        let complete: HandshakeComplete = read("HandshakeComplete", body)?;
        let until = now + settling_time(agent_version);
        let ready = Ready {
            capabilities: Capabilities::of(agent_version, properties),
            peer_version: std::mem::take(agent_version),
            properties: std::mem::take(properties),
            customer_message: complete.customer_message,
        };
        self.handshake = Handshake::Settling { until, ready };
        Ok(())
    }

    fn settle(&mut self) {
        if let Handshake::Settling { ready, .. } = &self.handshake {
            self.become_ready(ready.clone());
        }
    }

    fn become_ready(&mut self, ready: Ready) {
        self.handshake = Handshake::Complete;
        self.events.push_back(Event::Ready(ready));
    }

    /// Whether the handshake is complete, and the agent keeps what it is sent.
    pub fn is_ready(&self) -> bool {
        matches!(self.handshake, Handshake::Complete)
    }

    /// Most payload bytes the next message may carry now; 0 when it must wait.
    ///
    /// The value may change after: [`handle_message`](Self::handle_message),
    /// [`handle_timeout`](Self::handle_timeout), [`connected`](Self::connected),
    /// [`disconnected`](Self::disconnected), [`send_with`](Self::send_with).
    #[must_use]
    pub fn send_room(&self) -> usize {
        // Stream data before HandshakeComplete is acknowledged by the agent and thrown away.
        let may = self.is_ready() && self.connected && !self.paused && !self.closed;
        if may && self.outbox.room() >= self.config.max_payload {
            self.config.max_payload
        } else {
            0
        }
    }

    /// Sends one message of port bytes that `fill` appends to a buffer, straight behind the
    /// reserved header; `fill` gets the most bytes it may append. Returns what was appended.
    /// Without [`send_room`](Self::send_room), `fill` is not called.
    pub fn send_with(&mut self, now: Instant, fill: impl FnOnce(&mut BytesMut, usize)) -> usize {
        let room = self.send_room();
        if room == 0 {
            return 0;
        }
        let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + room);
        frame.resize(PAYLOAD_OFFSET, 0);
        fill(&mut frame, room);
        let appended = frame.len().saturating_sub(PAYLOAD_OFFSET);
        if appended > 0 {
            self.push_frame(PayloadType::Output, frame, now);
        }
        appended
    }

    /// Sends one message of port bytes.
    ///
    /// # Errors
    /// [`NotReady`] when it must wait, or `payload` is longer than
    /// [`send_room`](Self::send_room).
    pub fn send(&mut self, payload: &[u8], now: Instant) -> Result<(), NotReady> {
        if payload.len() > self.send_room() {
            return Err(NotReady);
        }
        self.send_with(now, |frame, _| frame.extend_from_slice(payload));
        Ok(())
    }

    /// Sends a flag, whatever the window. Before the handshake is complete it is not sent.
    pub fn send_flag(&mut self, flag: Flag, now: Instant) {
        if self.is_ready() && !self.closed {
            self.push(PayloadType::Flag, &flag.to_bytes(), now);
        }
    }

    fn push(&mut self, kind: PayloadType, payload: &[u8], now: Instant) {
        let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + payload.len());
        frame.resize(PAYLOAD_OFFSET, 0);
        frame.extend_from_slice(payload);
        self.push_frame(kind, frame, now);
    }

    fn push_frame(&mut self, kind: PayloadType, mut frame: BytesMut, now: Instant) {
        if self.outbox.unacknowledged() == 0 {
            self.silent_since = now;
        }
        let number = self.outbox.next_sequence_number();
        let header = Header {
            message_type: self.side.sends(),
            schema_version: 1,
            created_date: self.unix_time(now),
            sequence_number: SequenceNumber(i64::try_from(number).unwrap_or(i64::MAX)),
            flags: match (self.side, number) {
                (Side::Agent, 0) => Flags::SYN,
                _ => Flags::NONE,
            },
            message_id: self.message_id(),
            payload_type: kind,
        };
        header.seal(&mut frame);
        let bytes = frame.len() - PAYLOAD_OFFSET;
        self.outbox.push(frame.freeze(), bytes);
    }

    fn acknowledge(&mut self, body: &Acknowledge, now: Instant) {
        let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + 192);
        frame.resize(PAYLOAD_OFFSET, 0);
        body.write(&mut frame);
        let header = Header {
            message_type: MessageType::Acknowledge,
            schema_version: 1,
            created_date: self.unix_time(now),
            sequence_number: SequenceNumber(0),
            flags: Flags::SYN | Flags::FIN,
            message_id: self.message_id(),
            payload_type: PayloadType::None,
        };
        header.seal(&mut frame);
        self.acknowledgements.push_back(frame.freeze());
    }

    fn unix_time(&self, now: Instant) -> Duration {
        self.started_unix + now.saturating_duration_since(self.started)
    }

    fn message_id(&mut self) -> MessageId {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        MessageId(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// A UUID from the session's seed, for the ids of OpenDataChannel.
    pub fn uuid(&mut self) -> Uuid {
        self.message_id().0
    }

    /// The next message to be transmitted: one binary websocket frame.
    ///
    /// Acknowledgements first, then what was lost, then what is new. Call until `None`. The
    /// round-trip time is measured from this call, so call it when the socket can take more.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        if !self.connected {
            return None;
        }
        if let Some(acknowledgement) = self.acknowledgements.pop_front() {
            return Some(acknowledgement);
        }
        if self.paused || self.closed {
            return None;
        }
        self.outbox.poll(now)
    }

    /// The next fact for the application. Call until `None`.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why.
    ///
    /// The value may change after every call that takes `&mut self`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        if self.closed {
            return None;
        }
        let (handshake, settled) = match self.handshake {
            Handshake::Complete => (None, None),
            Handshake::Settling { until, .. } => (None, Some(until)),
            _ => (self.handshake_deadline, None),
        };
        let retransmit = (self.connected && !self.paused)
            .then(|| self.outbox.deadline())
            .flatten();
        let silent = (self.connected && self.outbox.unacknowledged() > 0)
            .then(|| self.silent_since + self.config.peer_timeout);
        timer::earliest([
            (Timer::Handshake, handshake),
            (Timer::Settled, settled),
            (Timer::Retransmit, retransmit),
            (Timer::PeerSilent, silent),
        ])
    }

    /// Time has passed. Calls that come early or twice are harmless.
    ///
    /// # Errors
    /// When a deadline passed that ends the session.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        while let Some((at, timer)) = self.poll_timeout()
            && at <= now
        {
            match timer {
                Timer::Handshake => {
                    return Err(SessionError::HandshakeTimeout {
                        after: self.config.handshake_timeout,
                    });
                }
                Timer::PeerSilent => {
                    return Err(SessionError::PeerSilent {
                        after: self.config.peer_timeout,
                    });
                }
                Timer::Settled => self.settle(),
                Timer::Retransmit => self.outbox.handle_timeout(now),
            }
        }
        Ok(())
    }

    /// Counters and state.
    pub fn stats(&self) -> Stats {
        Stats {
            retransmitted: self.outbox.retransmitted(),
            unacknowledged: self.outbox.unacknowledged(),
            reordering: self.inbox.kept(),
            window: self.outbox.window(),
            round_trip: self.outbox.smoothed_rtt(),
            ..self.stats
        }
    }
}

/// Refuses stream data with a number that cannot be one.
fn sequenced(message: Message) -> Result<Message, DecodeError> {
    let found = message.header.sequence_number.0;
    match message.header.message_type {
        MessageType::InputStreamData | MessageType::OutputStreamData if found < 0 => {
            Err(DecodeError::SequenceNumber { found })
        }
        _ => Ok(message),
    }
}

fn read<T: serde::de::DeserializeOwned>(
    message: &'static str,
    body: &[u8],
) -> Result<T, SessionError> {
    serde_json::from_slice(body).map_err(|error| SessionError::Handshake {
        message,
        reason: error.to_string(),
    })
}

/// The handshake's bodies are plain data, which always serialises.
fn json(body: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
