use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{MS, UNIX_TIME, start};
use crate::payload::Acknowledge;
use crate::wire::{Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber};
use crate::{Session, SessionConfig, SessionError, SessionEvent, SessionTimer};

/// From transmission to acknowledgement in the handshake of [`Client::ready`].
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(100);
/// How long after HandshakeComplete the agent of the tests may throw data away.
pub(super) const SETTLING: Duration = Duration::from_millis(25);
/// Its retransmission timeout: the sample and four times its variance, half the first sample.
pub(super) const TIMEOUT: Duration = Duration::from_millis(300);

/// A client whose agent is the test: it writes every message itself.
pub(super) struct Client {
    pub(super) session: Session,
    pub(super) now: Instant,
    /// The agent's next sequence number.
    pub(super) next: i64,
}

/// What a call brought out of the session.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) transmitted: Vec<Message>,
    pub(super) frames: Vec<Bytes>,
    pub(super) events: Vec<SessionEvent>,
}

impl Output {
    /// Numbers of the stream-data messages, in the order transmitted.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.transmitted
            .iter()
            .filter(|message| message.header.message_type == MessageType::InputStreamData)
            .map(|message| message.header.sequence_number.0)
            .collect()
    }

    /// Numbers acknowledged, in the order transmitted.
    pub(super) fn acknowledged(&self) -> Vec<i64> {
        self.transmitted
            .iter()
            .filter(|message| message.header.message_type == MessageType::Acknowledge)
            .map(|message| Acknowledge::read(&message.payload).expect("ours are sound"))
            .map(|body| body.sequence_number.0)
            .collect()
    }

    /// The port bytes delivered, one text a message.
    pub(super) fn data(&self) -> Vec<String> {
        let data = self.events.iter().filter_map(|event| match event {
            SessionEvent::Data(data) => Some(String::from_utf8_lossy(data).into_owned()),
            _ => None,
        });
        data.collect()
    }

    /// The JSON body of the only stream-data message.
    pub(super) fn only_body(&self) -> Value {
        let [number] = self.numbers()[..] else {
            panic!("one stream-data message expected: {self:?}");
        };
        let message = self
            .transmitted
            .iter()
            .find(|message| {
                message.header.message_type == MessageType::InputStreamData
                    && message.header.sequence_number.0 == number
            })
            .expect("just counted");
        serde_json::from_slice(&message.payload).expect("a JSON body")
    }
}

/// What the agent asks for in a port session.
pub(super) fn port_request() -> Value {
    request(json!([{
        "ActionType": "SessionType",
        "ActionParameters": {
            "SessionType": "Port",
            "Properties": {"portNumber": "3389", "type": "LocalPortForwarding"},
        },
    }]))
}

pub(super) fn request(actions: Value) -> Value {
    json!({"AgentVersion": "3.3.1142.0", "RequestedClientActions": actions})
}

/// A message as the agent or the service writes it.
pub(super) fn message(
    message_type: MessageType,
    number: i64,
    payload_type: PayloadType,
    payload: impl Into<Bytes>,
) -> Message {
    Message {
        header: Header {
            message_type,
            schema_version: 1,
            created_date: UNIX_TIME,
            sequence_number: SequenceNumber(number),
            flags: Flags::NONE,
            message_id: MessageId(Uuid::from_u128(number.unsigned_abs().into())),
            payload_type,
        },
        payload: payload.into(),
    }
}

pub(super) fn stream_data(number: i64, kind: PayloadType, payload: impl Into<Bytes>) -> Bytes {
    message(MessageType::OutputStreamData, number, kind, payload).encode()
}

/// A message of the service, which numbers nothing.
pub(super) fn control(message_type: MessageType, payload: impl Into<Bytes>) -> Bytes {
    message(message_type, 0, PayloadType::None, payload).encode()
}

pub(super) fn acknowledgement(of: MessageType, number: i64) -> Bytes {
    let body = Acknowledge {
        message_type: of,
        message_id: MessageId(Uuid::from_u128(1)),
        sequence_number: SequenceNumber(number),
    };
    let mut text = bytes::BytesMut::new();
    body.write(&mut text);
    control(MessageType::Acknowledge, text.freeze())
}

impl Client {
    /// Connected; the agent has not said anything.
    pub(super) fn new(config: SessionConfig) -> Self {
        Self::new_at(config, UNIX_TIME)
    }

    /// As [`new`](Self::new), at another time since the Unix epoch.
    pub(super) fn new_at(config: SessionConfig, unix_time: Duration) -> Self {
        let now = start();
        let mut session = Session::client(config, [7; 32], now, unix_time);
        session.connected(now);
        Self {
            session,
            now,
            next: 0,
        }
    }

    /// Connected, the handshake complete, everything acknowledged, one sample of [`ROUND_TRIP`]
    /// taken. The next messages have the numbers 1 (client) and 2 (agent).
    pub(super) fn ready() -> Self {
        Self::ready_with(SessionConfig::default())
    }

    pub(super) fn ready_with(config: SessionConfig) -> Self {
        let mut client = Self::new(config);
        client.ask(&port_request()).expect("a sound request");
        client.complete();
        client.now += ROUND_TRIP - SETTLING;
        client.acknowledge(0);
        client
    }

    /// The agent sends its HandshakeRequest.
    pub(super) fn ask(&mut self, body: &Value) -> Result<Output, SessionError> {
        let frame = stream_data(self.next, PayloadType::HandshakeRequest, body.to_string());
        self.next += 1;
        self.receive(frame)
    }

    /// The agent sends its HandshakeComplete, and has settled.
    pub(super) fn complete(&mut self) -> Output {
        let mut output = self.complete_at_once();
        let settled = self.advance(SETTLING);
        output.transmitted.extend(settled.transmitted);
        output.frames.extend(settled.frames);
        output.events.extend(settled.events);
        output
    }

    /// The agent sends its HandshakeComplete.
    pub(super) fn complete_at_once(&mut self) -> Output {
        let body = r#"{"HandshakeTimeToComplete":1,"CustomerMessage":"be careful"}"#;
        let frame = stream_data(self.next, PayloadType::HandshakeComplete, body);
        self.next += 1;
        self.receive(frame).expect("a sound completion")
    }

    pub(super) fn receive(&mut self, frame: Bytes) -> Result<Output, SessionError> {
        self.session.handle_message(frame, self.now)?;
        Ok(self.drain())
    }

    /// The agent sends port bytes under a number of the test's choice.
    pub(super) fn output(&mut self, number: i64, text: &str) -> Output {
        let frame = stream_data(number, PayloadType::Output, text.to_owned());
        self.receive(frame).expect("sound data")
    }

    /// The agent acknowledges one message.
    pub(super) fn acknowledge(&mut self, number: i64) -> Output {
        self.receive(acknowledgement(MessageType::InputStreamData, number))
            .expect("a sound acknowledgement")
    }

    /// The service announces something by the message type alone.
    pub(super) fn publication(&mut self, message_type: MessageType) -> Output {
        self.receive(control(message_type, &b"{}"[..]))
            .expect("a sound announcement")
    }

    pub(super) fn send(&mut self, text: &str) -> Output {
        self.session
            .send(text.as_bytes(), self.now)
            .expect("the session has room");
        self.drain()
    }

    pub(super) fn drain(&mut self) -> Output {
        let mut output = Output::default();
        while let Some(frame) = self.session.poll_transmit(self.now) {
            output
                .transmitted
                .push(Message::decode(frame.clone()).expect("ours are sound"));
            output.frames.push(frame);
        }
        while let Some(event) = self.session.poll_event() {
            output.events.push(event);
        }
        output
    }

    pub(super) fn advance(&mut self, by: Duration) -> Output {
        self.now += by;
        self.session
            .handle_timeout(self.now)
            .expect("nothing fatal is due");
        self.drain()
    }

    /// Time passes until the session wants to be woken; how long that took.
    pub(super) fn wake(&mut self) -> (Duration, SessionTimer, Result<Output, SessionError>) {
        let (at, timer) = self.session.poll_timeout().expect("a timer runs");
        let waited = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        let result = self.session.handle_timeout(self.now);
        (waited, timer, result.map(|()| self.drain()))
    }

    /// The websocket breaks; the next one opens after a second.
    pub(super) fn reconnect(&mut self) -> Output {
        self.session.disconnected();
        self.now += 1000 * MS;
        self.session.connected(self.now);
        self.drain()
    }
}
