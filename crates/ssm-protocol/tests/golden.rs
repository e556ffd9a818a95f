//! Frames and whole sessions recorded from the reference peers: a wrong layout shared by our
//! client and our own stand-ins would cancel out, these do not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use ssm_protocol::payload::{Flag, HandshakeRequest};
use ssm_protocol::wire::{Flags, Message, MessageId, MessageType, PayloadType, SequenceNumber};
use ssm_protocol::{Session, SessionConfig, SessionEvent, SessionTimer};

#[derive(Deserialize)]
struct Vector {
    name: String,
    message_type: String,
    schema_version: u32,
    created_date_ms: u64,
    sequence_number: i64,
    flags: u64,
    message_id: String,
    payload_type: u32,
    payload_hex: String,
    frame_hex: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("golden/frames.json")).expect("the vectors are JSON")
}

fn unhex(hex: &str) -> Bytes {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex digits"))
        .collect()
}

#[test]
fn reads_every_frame_the_reference_peer_wrote() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 38);
    for vector in vectors {
        let message = Message::decode(unhex(&vector.frame_hex))
            .unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let header = &message.header;
        assert_eq!(
            header.message_type.as_str(),
            vector.message_type,
            "{}",
            vector.name
        );
        assert_eq!(
            header.schema_version, vector.schema_version,
            "{}",
            vector.name
        );
        assert_eq!(
            header.created_date,
            Duration::from_millis(vector.created_date_ms),
            "{}",
            vector.name
        );
        assert_eq!(
            header.sequence_number,
            SequenceNumber(vector.sequence_number),
            "{}",
            vector.name
        );
        assert_eq!(header.flags, Flags(vector.flags), "{}", vector.name);
        let id = vector.message_id.parse().expect("a UUID");
        assert_eq!(header.message_id, MessageId(id), "{}", vector.name);
        assert_eq!(
            u32::from(header.payload_type),
            vector.payload_type,
            "{}",
            vector.name
        );
        assert_eq!(
            message.payload,
            unhex(&vector.payload_hex),
            "{}",
            vector.name
        );
    }
}

#[test]
fn writes_every_frame_as_the_reference_peer_wrote_it() {
    for vector in vectors() {
        let frame = unhex(&vector.frame_hex);
        let message = Message::decode(frame.clone()).expect("the vectors are valid");
        let mut written = message.encode().to_vec();
        let mut expected = frame.to_vec();
        if message.header.message_type == MessageType::ChannelClosed {
            // The service pads this type with NULs; writers pad with spaces.
            for frame in [&mut written, &mut expected] {
                frame[4..36]
                    .iter_mut()
                    .filter(|b| **b == 0)
                    .for_each(|b| *b = b' ');
            }
        }
        assert_eq!(written, expected, "{}", vector.name);
    }
}

#[derive(Deserialize)]
struct Recording {
    agent_version: String,
    messages: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    t_us: u64,
    dir: String,
    ws_opcode: u8,
    hex: String,
}

impl Recorded {
    fn message(&self) -> Message {
        Message::decode(unhex(&self.hex)).expect("recorded messages are valid")
    }
}

fn recordings() -> [Recording; 2] {
    [
        include_str!("golden/session-mux.json"),
        include_str!("golden/session-basic.json"),
    ]
    .map(|text| serde_json::from_str(text).expect("the recording is JSON"))
}

/// What identifies a message whatever its id and date.
fn essence(message: &Message) -> (String, i64, u64, PayloadType, Value) {
    let payload = serde_json::from_slice::<Value>(&message.payload)
        .map(|mut value| {
            if let Some(took) = value.get_mut("HandshakeTimeToComplete") {
                *took = Value::Null;
            }
            value
        })
        .unwrap_or_else(|_| Value::from(message.payload.to_vec()));
    (
        message.header.message_type.to_string(),
        message.header.sequence_number.0,
        message.header.flags.0,
        message.header.payload_type,
        payload,
    )
}

struct Replay {
    session: Session,
    start: Instant,
    now: Instant,
    written: Vec<Message>,
    events: Vec<SessionEvent>,
}

impl Replay {
    fn new(make: impl FnOnce(SessionConfig, Instant) -> Session) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "virtual time needs one instant to count from"
        )]
        let start = Instant::now();
        let mut config = SessionConfig::default();
        config.client_version = "1.2.677.0".to_owned();
        let mut session = make(config, start);
        session.connected(start);
        let (written, events) = (Vec::new(), Vec::new());
        Self {
            session,
            start,
            now: start,
            written,
            events,
        }
    }

    fn at(&mut self, recorded: &Recorded) {
        self.now = self
            .now
            .max(self.start + Duration::from_micros(recorded.t_us));
        self.session
            .handle_timeout(self.now)
            .expect("no deadline passes in a recorded session");
    }

    fn receive(&mut self, recorded: &Recorded) {
        self.session
            .handle_message(unhex(&recorded.hex), self.now)
            .expect("the peer's messages are sound");
        self.drain();
    }

    /// Has the session send what the recorded side sent of its own accord.
    fn originate(&mut self, message: &Message) {
        match message.header.payload_type {
            PayloadType::Output => {
                self.settle();
                self.session
                    .send(&message.payload, self.now)
                    .expect("the window has room");
            }
            PayloadType::Flag => {
                let flag = Flag::read(&message.payload).expect("four bytes");
                self.session.send_flag(flag, self.now);
            }
            _ => {} // The handshake's messages come by themselves.
        }
        self.drain();
    }

    /// The reference client sends sooner after the handshake than ours.
    fn settle(&mut self) {
        if let Some((at, SessionTimer::Settled)) = self.session.poll_timeout() {
            self.now = at;
            self.session.handle_timeout(at).expect("nothing fatal");
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(frame) = self.session.poll_transmit(self.now) {
            self.written
                .push(Message::decode(frame).expect("our own messages are sound"));
        }
        while let Some(event) = self.session.poll_event() {
            self.events.push(event);
        }
    }

    fn port_bytes(&self) -> Vec<u8> {
        let data = self.events.iter().filter_map(|event| match event {
            SessionEvent::Data(data) => Some(data.to_vec()),
            _ => None,
        });
        data.flatten().collect()
    }
}

/// Replays a recording as the side that wrote `ours`, and compares every message.
fn replay(recording: &Recording, ours: &str, theirs: &[&str], mut replay: Replay) -> Replay {
    let mut expected = Vec::new();
    let mut expected_bytes = Vec::new();
    replay.drain();
    for recorded in recording
        .messages
        .iter()
        .filter(|recorded| recorded.ws_opcode == 2)
    {
        replay.at(recorded);
        if recorded.dir == ours {
            let message = recorded.message();
            // The agent reports to the service, which is no part of the data channel.
            if message.header.message_type != MessageType::AgentSessionState {
                replay.originate(&message);
                expected.push(message);
            }
        } else if theirs.contains(&recorded.dir.as_str()) {
            replay.receive(recorded);
            let message = recorded.message();
            if message.header.payload_type == PayloadType::Output {
                expected_bytes.extend_from_slice(&message.payload);
            }
        }
    }
    let written: Vec<_> = replay.written.iter().map(essence).collect();
    let expected: Vec<_> = expected.iter().map(essence).collect();
    // Messages of both directions cross on the wire, so each kind is compared in its own order.
    for acknowledgements in [false, true] {
        let of_kind = |messages: &[(String, i64, u64, PayloadType, Value)]| {
            messages
                .iter()
                .filter(|message| (message.0 == "acknowledge") == acknowledgements)
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(of_kind(&written), of_kind(&expected));
    }
    assert_eq!(replay.port_bytes(), expected_bytes);
    assert_eq!(replay.session.stats().unacknowledged, 0);
    assert_eq!(replay.session.stats().retransmitted, 0);
    replay
}

#[test]
fn replays_recorded_sessions_as_the_client() {
    for (recording, multiplexing) in recordings().iter().zip([true, false]) {
        let client = Replay::new(|config, now| {
            Session::client(config, [1; 32], now, Duration::from_secs(1))
        });
        let client = replay(recording, "c2a", &["a2c", "r2c"], client);
        let Some(SessionEvent::Ready(ready)) = client.events.first() else {
            panic!("the handshake comes first: {:?}", client.events);
        };
        assert_eq!(ready.peer_version, recording.agent_version);
        assert_eq!(ready.capabilities.multiplexing, multiplexing);
        let Some(SessionEvent::ChannelClosed { output }) = client.events.last() else {
            panic!("the channel is closed last: {:?}", client.events);
        };
        assert!(
            !client.session.is_ready() || client.session.send_room() == 0,
            "{output}"
        );
    }
}

#[test]
fn replays_recorded_sessions_as_the_agent() {
    for recording in &recordings() {
        let request = recording
            .messages
            .iter()
            .filter(|recorded| recorded.dir == "a2c" && recorded.ws_opcode == 2)
            .map(Recorded::message)
            .find(|message| message.header.payload_type == PayloadType::HandshakeRequest)
            .expect("the agent asks");
        let request: HandshakeRequest =
            serde_json::from_slice(&request.payload).expect("a handshake request");
        let agent = Replay::new(|config, now| {
            Session::agent(config, request, [2; 32], now, Duration::from_secs(1))
        });
        let agent = replay(recording, "a2c", &["c2a"], agent);
        let Some(SessionEvent::Ready(ready)) = agent.events.first() else {
            panic!("the handshake comes first: {:?}", agent.events);
        };
        assert_eq!(ready.peer_version, "1.2.677.0");
    }
}
