//! The agent's data channel, in virtual time (`agent/session/datachannel/datachannel.go` @1c217c89).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use serde_json::json;
use ssm_protocol::payload::{
    Acknowledge, Flag, HandshakeComplete, HandshakeRequest, HandshakeResponse, RequestedAction,
};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType, SequenceNumber,
};

use super::config::{AgentConfig, SessionType, parse_version};
use super::deadline::after;

/// Messages kept each way; agents before 3.0 kept a tenth.
const BUFFER: usize = 100_000;
const OLD_BUFFER: usize = 10_000;
/// The first version that acknowledges a message again (@b0e8d778); older ones discard it in silence.
const FIRST_TO_ACKNOWLEDGE_AGAIN: [u32; 4] = [3, 2, 1041, 0];
/// The first version that acknowledges a message after its handler took it (@677437f6). Older ones do
/// so before, and throw away what comes while their port is not connected.
const FIRST_TO_ACKNOWLEDGE_LATE: [u32; 4] = [3, 0, 655, 0];
/// How often the oldest message is looked at.
const RESEND_INTERVAL: Duration = Duration::from_millis(100);
const FIRST_TIMEOUT: Duration = Duration::from_millis(200);
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
const GRANULARITY: Duration = Duration::from_millis(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(1);

/// The agent's end of one session's data channel.
#[derive(Debug)]
pub(super) struct Channel {
    handshake_timeout: Duration,
    started: Instant,
    started_unix: Duration,
    random: fastrand::Rng,
    state: Handshake,
    /// HandshakeComplete waits for this.
    complete_held: bool,
    active: bool,
    buffer: usize,
    acknowledges_duplicates: bool,
    acknowledges_late: bool,
    /// Its websocket is broken, and it notices when it writes.
    broken: bool,
    /// Processed, and not counted as received.
    uncounted: Option<i64>,
    /// Messages processed again.
    repeated: u64,
    /// Until then it does not know itself that the handshake is complete.
    noticed_at: Instant,
    notices_after: Duration,
    expected: i64,
    ahead: BTreeMap<i64, Incoming>,
    next_number: i64,
    kept: VecDeque<Kept>,
    outgoing: VecDeque<Bytes>,
    round_trip: Duration,
    variation: Duration,
    timeout: Duration,
    resend_at: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Handshake {
    /// This type of session has none.
    Skipped,
    Asked,
    Answered {
        client_version: String,
    },
    Complete {
        client_version: String,
    },
}

#[derive(Debug)]
struct Kept {
    number: i64,
    frame: Bytes,
    sent_at: Instant,
}

/// A stream-data message in its turn.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    pub(super) kind: PayloadType,
    pub(super) payload: Bytes,
}

/// Whether a message was taken and acknowledged. What was not comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Yes,
    NotReady,
}

/// Where the port's bytes go.
pub(super) trait Handler {
    /// Whether the port is connected: before that it takes no message of any kind.
    fn is_ready(&self) -> bool;
    fn output(&mut self, payload: Bytes);
    fn flag(&mut self, flag: Flag);
}

impl Channel {
    pub(super) fn new(config: &AgentConfig, seed: u64, now: Instant, unix: Duration) -> Self {
        let version = parse_version(&config.version);
        let mut channel = Self {
            handshake_timeout: config.handshake_timeout,
            started: now,
            started_unix: unix,
            random: fastrand::Rng::with_seed(seed),
            state: match config.session_type.requires_handshake() {
                true => Handshake::Asked,
                false => Handshake::Skipped,
            },
            complete_held: config.handshake_held,
            active: true,
            buffer: if version < [3, 0, 0, 0] {
                OLD_BUFFER
            } else {
                BUFFER
            },
            acknowledges_duplicates: version >= FIRST_TO_ACKNOWLEDGE_AGAIN,
            acknowledges_late: version >= FIRST_TO_ACKNOWLEDGE_LATE,
            broken: false,
            uncounted: None,
            repeated: 0,
            noticed_at: now,
            notices_after: config.notices_after,
            expected: 0,
            ahead: BTreeMap::new(),
            next_number: 0,
            kept: VecDeque::new(),
            outgoing: VecDeque::new(),
            round_trip: FIRST_ROUND_TRIP,
            variation: Duration::ZERO,
            timeout: FIRST_TIMEOUT,
            resend_at: now + RESEND_INTERVAL,
        };
        channel.report_state("Connected", now);
        if channel.state == Handshake::Asked {
            let request = request(config);
            let body = serde_json::to_vec(&request).unwrap_or_default();
            channel.send(PayloadType::HandshakeRequest, &body, now);
        }
        channel
    }

    /// The client's version, once the handshake is complete and the agent knows.
    pub(super) fn client_version(&self, now: Instant) -> Option<&str> {
        match &self.state {
            Handshake::Complete { client_version } if now >= self.noticed_at => {
                Some(client_version)
            }
            _ => None,
        }
    }

    /// Whether everything it writes is lost.
    pub(super) fn set_broken(&mut self, broken: bool) {
        self.broken = broken;
    }

    /// Whether this message has data of the port, is the next in turn, and the port takes it.
    pub(super) fn processes(&self, frame: &Bytes, now: Instant, handler: &dyn Handler) -> bool {
        let Ok(Message { header, .. }) = Message::decode_unverified(frame.clone()) else {
            return false;
        };
        header.message_type == MessageType::InputStreamData
            && header.payload_type == PayloadType::Output
            && header.sequence_number.0 == self.expected
            && self.client_version(now).is_some()
            && handler.is_ready()
    }

    /// How often a message was processed again.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether stream data is the plugin's.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.state == Handshake::Skipped || self.client_version(now).is_some()
    }

    /// Whether the client acknowledged everything.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    /// Takes one websocket message.
    pub(super) fn handle(&mut self, frame: Bytes, now: Instant, handler: &mut dyn Handler) {
        // The agent does not verify digests.
        let message = match Message::decode_unverified(frame) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "the agent dropped a message");
                return;
            }
        };
        match message.header.message_type {
            MessageType::InputStreamData => self.handle_stream_data(message, now, handler),
            MessageType::Acknowledge => self.handle_acknowledge(&message.payload, now),
            MessageType::StartPublication => self.active = true,
            MessageType::PausePublication => self.active = false,
            _ => {}
        }
    }

    fn handle_stream_data(&mut self, message: Message, now: Instant, handler: &mut dyn Handler) {
        let number = message.header.sequence_number.0;
        let acknowledge = Acknowledge {
            message_type: MessageType::InputStreamData,
            message_id: message.header.message_id,
            sequence_number: message.header.sequence_number,
        };
        let incoming = Incoming {
            kind: message.header.payload_type,
            payload: message.payload,
        };
        if number < self.expected {
            if self.acknowledges_duplicates {
                self.acknowledge(&acknowledge, now);
            }
        } else if number > self.expected {
            // What it cannot acknowledge it does not keep.
            if self.ahead.len() < self.buffer && self.acknowledge(&acknowledge, now) {
                self.ahead.insert(number, incoming);
            }
        } else if self.take(incoming, &acknowledge, now, handler) == Taken::Yes {
            self.expected += 1;
            if !self.complete_held {
                // After the acknowledgement, as recorded.
                self.complete(now);
            }
            while let Some(next) = self.ahead.get(&self.expected).cloned() {
                if self.process(next, now, handler) == Taken::NotReady {
                    break;
                }
                self.ahead.remove(&self.expected);
                self.expected += 1;
            }
        }
    }

    /// The message in its turn. From 3.0.655.0 on it is processed even where it cannot be
    /// acknowledged, and then is not counted, so that it is processed again when it comes again.
    fn take(
        &mut self,
        incoming: Incoming,
        acknowledge: &Acknowledge,
        now: Instant,
        handler: &mut dyn Handler,
    ) -> Taken {
        if self.acknowledges_late {
            if self.process(incoming.clone(), now, handler) == Taken::NotReady {
                return Taken::NotReady;
            }
            let again = self.uncounted.replace(self.expected) == Some(self.expected);
            self.repeated += u64::from(again);
        }
        if !self.acknowledge(acknowledge, now) {
            return Taken::NotReady;
        }
        if !self.acknowledges_late {
            self.process(incoming, now, handler);
        }
        Taken::Yes
    }

    fn process(&mut self, incoming: Incoming, now: Instant, handler: &mut dyn Handler) -> Taken {
        if incoming.kind == PayloadType::HandshakeResponse {
            self.handle_response(&incoming.payload);
            return Taken::Yes;
        }
        if !self.is_open(now) {
            // Before the handshake is complete, everything else is acknowledged and thrown away.
            return Taken::Yes;
        }
        if !handler.is_ready() {
            return if self.acknowledges_late {
                Taken::NotReady
            } else {
                Taken::Yes
            };
        }
        match incoming.kind {
            PayloadType::Output => handler.output(incoming.payload),
            PayloadType::Flag => {
                if let Some(flag) = Flag::read(&incoming.payload) {
                    handler.flag(flag);
                }
            }
            _ => {}
        }
        Taken::Yes
    }

    fn handle_response(&mut self, body: &[u8]) {
        if self.state != Handshake::Asked {
            return;
        }
        let Ok(response) = serde_json::from_slice::<HandshakeResponse>(body) else {
            return;
        };
        self.state = Handshake::Answered {
            client_version: response.client_version,
        };
    }

    /// Sends HandshakeComplete if it is due.
    pub(super) fn release(&mut self, now: Instant) {
        self.complete_held = false;
        self.complete(now);
    }

    fn complete(&mut self, now: Instant) {
        let Handshake::Answered { client_version } = &self.state else {
            return;
        };
        self.state = Handshake::Complete {
            client_version: client_version.clone(),
        };
        let took = now.saturating_duration_since(self.started).as_nanos();
        let complete = HandshakeComplete {
            handshake_time_to_complete: i64::try_from(took).unwrap_or(i64::MAX),
            customer_message: String::new(),
        };
        let body = serde_json::to_vec(&complete).unwrap_or_default();
        self.send(PayloadType::HandshakeComplete, &body, now);
        self.noticed_at = after(now, self.notices_after);
    }

    fn handle_acknowledge(&mut self, body: &[u8], now: Instant) {
        let Ok(acknowledge) = Acknowledge::read(body) else {
            return;
        };
        let number = acknowledge.sequence_number.0;
        let Some(at) = self.kept.iter().position(|kept| kept.number >= number) else {
            return;
        };
        if self.kept.get(at).is_none_or(|kept| kept.number != number) {
            return;
        }
        if let Some(kept) = self.kept.remove(at) {
            // Unlike ours, its samples include messages that were sent again.
            let sample = now.saturating_duration_since(kept.sent_at);
            self.variation = self.variation * 3 / 4 + self.round_trip.abs_diff(sample) / 4;
            self.round_trip = self.round_trip * 7 / 8 + sample / 8;
            self.timeout =
                (self.round_trip + (self.variation * 4).max(GRANULARITY)).min(MAX_TIMEOUT);
        }
    }

    /// Sends bytes of the port: at most 1024 a message.
    pub(super) fn send_output(&mut self, payload: &[u8], now: Instant) {
        self.send(PayloadType::Output, payload, now);
    }

    pub(super) fn send_flag(&mut self, flag: Flag, now: Instant) {
        self.send(PayloadType::Flag, &flag.to_bytes(), now);
    }

    fn send(&mut self, kind: PayloadType, payload: &[u8], now: Instant) {
        let number = self.next_number;
        self.next_number += 1;
        let flags = if number == 0 { Flags::SYN } else { Flags::NONE };
        let frame = self.frame(
            MessageType::OutputStreamData,
            number,
            flags,
            kind,
            payload,
            now,
        );
        self.write(frame.clone());
        // A full buffer does not stop it from sending, only from sending again.
        if self.kept.len() < self.buffer {
            self.kept.push_back(Kept {
                number,
                frame,
                sent_at: now,
            });
        }
    }

    /// Whether it could be written.
    fn acknowledge(&mut self, body: &Acknowledge, now: Instant) -> bool {
        let mut payload = BytesMut::new();
        body.write(&mut payload);
        let flags = Flags::SYN | Flags::FIN;
        let frame = self.frame(
            MessageType::Acknowledge,
            0,
            flags,
            PayloadType::None,
            &payload,
            now,
        );
        self.write(frame);
        !self.broken
    }

    fn write(&mut self, frame: Bytes) {
        if !self.broken {
            self.outgoing.push_back(frame);
        }
    }

    /// The plugin is done; the service ends the session.
    pub(super) fn report_terminating(&mut self, now: Instant) {
        self.report_state("Terminating", now);
    }

    /// Its report to the service, which clients must ignore.
    fn report_state(&mut self, state: &str, now: Instant) {
        let body = json!({ "SchemaVersion": 1, "SessionState": state, "SessionId": "" });
        let flags = Flags::SYN | Flags::FIN;
        let body = body.to_string();
        let kind = MessageType::AgentSessionState;
        let frame = self.frame(kind, 0, flags, PayloadType::None, body.as_bytes(), now);
        self.write(frame);
    }

    fn frame(
        &mut self,
        message_type: MessageType,
        number: i64,
        flags: Flags,
        payload_type: PayloadType,
        payload: &[u8],
        now: Instant,
    ) -> Bytes {
        let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + payload.len());
        frame.resize(PAYLOAD_OFFSET, 0);
        frame.extend_from_slice(payload);
        Header {
            message_type,
            schema_version: 1,
            created_date: self
                .started_unix
                .saturating_add(now.saturating_duration_since(self.started)),
            sequence_number: SequenceNumber(number),
            flags,
            message_id: MessageId(
                uuid::Builder::from_random_bytes(self.random.u128(..).to_be_bytes()).into_uuid(),
            ),
            payload_type,
        }
        .seal(&mut frame);
        frame.freeze()
    }

    /// The next message for the websocket.
    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outgoing.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        match self.state {
            Handshake::Asked => self.resend_at.min(self.handshake_due()),
            _ => self.resend_at,
        }
    }

    fn handshake_due(&self) -> Instant {
        self.started
            .checked_add(self.handshake_timeout)
            .unwrap_or(self.resend_at)
    }

    /// When the port may start.
    pub(super) fn port_due(&self) -> Option<Instant> {
        matches!(self.state, Handshake::Complete { .. }).then_some(self.noticed_at)
    }

    /// The client did not answer the handshake in time.
    pub(super) fn has_timed_out(&self, now: Instant) -> bool {
        self.state == Handshake::Asked
            && now.saturating_duration_since(self.started) >= self.handshake_timeout
    }

    /// Every 100 ms: the oldest message, if it is overdue. Only that one.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if now < self.resend_at {
            return;
        }
        self.resend_at = now + RESEND_INTERVAL;
        let timeout = self.timeout;
        if let Some(oldest) = self.kept.front_mut().filter(|_| self.active)
            && now.saturating_duration_since(oldest.sent_at) > timeout
        {
            oldest.sent_at = now;
            let frame = oldest.frame.clone();
            self.write(frame);
        }
    }
}

/// Announces the session's type. Only ports have properties there.
fn request(config: &AgentConfig) -> HandshakeRequest {
    if config.session_type == SessionType::Port {
        return HandshakeRequest::port(config.version.clone(), &config.properties);
    }
    HandshakeRequest {
        agent_version: config.version.clone(),
        requested_client_actions: vec![RequestedAction {
            action_type: RequestedAction::SESSION_TYPE.to_owned(),
            action_parameters: json!({
                "SessionType": config.session_type.name(),
                "Properties": null,
            }),
        }],
    }
}
