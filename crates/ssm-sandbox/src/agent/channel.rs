//! The agent's data channel, in virtual time (`agent/session/datachannel/datachannel.go` @1c217c89):
//! the handshake, and what the client sends.

mod outgoing;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use ssm_protocol::payload::{
    Acknowledge, ActionStatus, HandshakeComplete, HandshakeRequest, HandshakeResponse,
    RequestedAction,
};
use ssm_protocol::wire::{Message, MessageType, PayloadType};

use super::config::{AgentConfig, SessionType, parse_version};
use super::deadline::after;
use outgoing::Outgoing;

/// Messages kept each way; agents before 3.0 kept a tenth.
const BUFFER: usize = 100_000;
const OLD_BUFFER: usize = 10_000;
/// The first version that acknowledges a message again (@b0e8d778); older ones discard it silently.
const FIRST_TO_ACKNOWLEDGE_AGAIN: [u32; 4] = [3, 2, 1041, 0];
/// The first version that acknowledges a message after its handler took it (@677437f6). Older ones do
/// so before, and discard what arrives while their port is not connected.
const FIRST_TO_ACKNOWLEDGE_LATE: [u32; 4] = [3, 0, 655, 0];

/// The agent's end of one session's data channel.
#[derive(Debug)]
pub(super) struct Channel {
    handshake_timeout: Duration,
    started: Instant,
    outgoing: Outgoing,
    state: Handshake,
    /// HandshakeComplete waits for this.
    complete_held: bool,
    active: bool,
    buffer: usize,
    acknowledges_duplicates: bool,
    acknowledges_late: bool,
    /// Processed, and not counted as received.
    uncounted: Option<i64>,
    /// Messages processed again.
    repeated: u64,
    /// The agent itself regards the handshake as complete from here on.
    noticed_at: Instant,
    notices_after: Duration,
    expected: i64,
    ahead: BTreeMap<i64, Incoming>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Handshake {
    /// Sessions of this type have no handshake.
    Skipped,
    Requested,
    Responded {
        client_version: String,
    },
    Complete {
        client_version: String,
    },
    /// The client did not do what the agent asked for, which ends the session.
    Failed {
        text: String,
    },
}

/// A stream-data message, numbered as expected.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    pub(super) kind: PayloadType,
    pub(super) payload: Bytes,
}

/// Whether a message was taken and acknowledged. The client sends a message again that was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Yes,
    NotReady,
}

/// What stream data of the client goes to.
pub(super) trait Handler {
    /// Whether messages are accepted: a port that is not connected accepts none of any kind.
    fn is_ready(&self) -> bool;
    fn handle(&mut self, kind: PayloadType, payload: Bytes);
}

impl Channel {
    pub(super) fn new(config: &AgentConfig, seed: u64, now: Instant, unix: Duration) -> Self {
        let version = parse_version(&config.version);
        let buffer = match version < [3, 0, 0, 0] {
            true => OLD_BUFFER,
            false => BUFFER,
        };
        let mut channel = Self {
            handshake_timeout: config.handshake_timeout,
            started: now,
            outgoing: Outgoing::new(buffer, seed, now, unix),
            state: match config.session_type.requires_handshake() {
                true => Handshake::Requested,
                false => Handshake::Skipped,
            },
            complete_held: config.handshake_held,
            active: true,
            buffer,
            acknowledges_duplicates: version >= FIRST_TO_ACKNOWLEDGE_AGAIN,
            acknowledges_late: version >= FIRST_TO_ACKNOWLEDGE_LATE,
            uncounted: None,
            repeated: 0,
            noticed_at: now,
            notices_after: config.notices_after,
            expected: 0,
            ahead: BTreeMap::new(),
        };
        channel.outgoing.report_state("Connected", now);
        if channel.state == Handshake::Requested {
            let request = request(config);
            let body = serde_json::to_vec(&request).unwrap_or_default();
            let kind = PayloadType::HandshakeRequest;
            channel.outgoing.send(kind, &body, now);
        }
        channel
    }

    /// The client's version, once the agent regards the handshake as complete.
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
        self.outgoing.set_broken(broken);
    }

    /// Whether this message carries port data, has the expected number, and the port accepts it.
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

    /// How many messages were processed more than once.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    pub(super) fn is_broken(&self) -> bool {
        self.outgoing.is_broken()
    }

    /// Whether stream data goes to the plugin.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.state == Handshake::Skipped || self.client_version(now).is_some()
    }

    /// Whether the client acknowledged everything.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.outgoing.is_acknowledged()
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
            MessageType::Acknowledge => {
                self.outgoing.handle_acknowledge(&message.payload, now);
            }
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
                self.outgoing.acknowledge(&acknowledge, now);
            }
        } else if number > self.expected {
            // A message that cannot be acknowledged is not kept.
            if self.ahead.len() < self.buffer && self.outgoing.acknowledge(&acknowledge, now) {
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

    /// Takes the expected message. From 3.0.655.0 on it is processed even when it cannot be
    /// acknowledged; it is not counted then, and is processed again when the client repeats it.
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
        if !self.outgoing.acknowledge(acknowledge, now) {
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
            // Before the handshake is complete, everything else is acknowledged and discarded.
            return Taken::Yes;
        }
        if !handler.is_ready() {
            return if self.acknowledges_late {
                Taken::NotReady
            } else {
                Taken::Yes
            };
        }
        handler.handle(incoming.kind, incoming.payload);
        Taken::Yes
    }

    fn handle_response(&mut self, body: &[u8]) {
        if self.state != Handshake::Requested {
            return;
        }
        let Ok(response) = serde_json::from_slice::<HandshakeResponse>(body) else {
            return;
        };
        let failed = response.processed_client_actions.iter();
        let mut failed = failed.filter(|action| action.action_status != ActionStatus::Success);
        self.state = match failed.next() {
            Some(action) => Handshake::Failed {
                text: format!("The client failed to process {}.", action.action_type),
            },
            None => Handshake::Responded {
                client_version: response.client_version,
            },
        };
    }

    /// Sends HandshakeComplete if it is due.
    pub(super) fn release(&mut self, now: Instant) {
        self.complete_held = false;
        self.complete(now);
    }

    fn complete(&mut self, now: Instant) {
        let Handshake::Responded { client_version } = &self.state else {
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
        let kind = PayloadType::HandshakeComplete;
        self.outgoing.send(kind, &body, now);
        self.noticed_at = after(now, self.notices_after);
    }

    /// Sends the plugin's data, at most 1024 bytes per message.
    pub(super) fn send(&mut self, kind: PayloadType, payload: &[u8], now: Instant) {
        self.outgoing.send(kind, payload, now);
    }

    /// The plugin is done; the service ends the session.
    pub(super) fn report_terminating(&mut self, now: Instant) {
        self.outgoing.report_state("Terminating", now);
    }

    /// The next message for the websocket.
    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.outgoing.poll_transmit()
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        let resend = self.outgoing.poll_timeout();
        let due = self.started.checked_add(self.handshake_timeout);
        match (&self.state, due) {
            (Handshake::Requested, Some(due)) => resend.min(due),
            _ => resend,
        }
    }

    /// When the plugin may start.
    pub(super) fn plugin_due(&self) -> Option<Instant> {
        matches!(self.state, Handshake::Complete { .. }).then_some(self.noticed_at)
    }

    /// The text that ends a session whose handshake failed.
    pub(super) fn failed(&self) -> Option<&str> {
        match &self.state {
            Handshake::Failed { text } => Some(text),
            _ => None,
        }
    }

    /// The client did not answer the handshake in time.
    pub(super) fn has_timed_out(&self, now: Instant) -> bool {
        self.state == Handshake::Requested
            && now.saturating_duration_since(self.started) >= self.handshake_timeout
    }

    /// Runs the timer of retransmissions.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.outgoing.handle_timeout(!self.active, now);
    }
}

/// Announces the session's type. Only port sessions have properties there.
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
