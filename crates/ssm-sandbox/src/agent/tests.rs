//! The agent's behaviour in virtual time, and sessions recorded from the real one.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use ssm_protocol::payload::{
    Acknowledge, ActionStatus, Flag, HandshakeResponse, ProcessedAction, SessionProperties,
};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};

use super::channel::{Channel, Handler};
use super::config::AgentConfig;

const MS: Duration = Duration::from_millis(1);
/// As by default.
const NOTICES_AFTER: Duration = Duration::from_millis(10);

/// A port that remembers what it got, and can be not ready.
#[derive(Default)]
struct Port {
    received: Vec<u8>,
    flags: Vec<Flag>,
    not_ready: bool,
}

impl Handler for Port {
    fn is_ready(&self) -> bool {
        !self.not_ready
    }

    fn handle(&mut self, kind: PayloadType, payload: Bytes) {
        match kind {
            PayloadType::Output => self.received.extend_from_slice(&payload),
            PayloadType::Flag => self.flags.extend(Flag::read(&payload)),
            _ => {}
        }
    }
}

struct Agent {
    channel: Channel,
    port: Port,
    now: Instant,
}

impl Agent {
    /// An agent whose handshake request was taken.
    fn asked(held: bool) -> Self {
        Self::asked_by("3.3.4851.0", held)
    }

    fn asked_by(version: &str, held: bool) -> Self {
        let properties: SessionProperties =
            [("portNumber", "3389"), ("type", "LocalPortForwarding")]
                .into_iter()
                .collect();
        let now = tokio::time::Instant::now().into_std();
        let unix = Duration::from_secs(1_795_000_000);
        let mut config = AgentConfig::new(version, properties);
        config.handshake_held = held;
        let channel = Channel::new(&config, 1, now, unix);
        let mut agent = Self {
            channel,
            port: Port::default(),
            now,
        };
        let first = agent.written();
        assert_eq!(
            kinds(&first),
            ["agent_session_state", "output_stream_data 0"]
        );
        assert_eq!(first[1].header.flags, Flags::SYN);
        agent
    }

    /// One whose handshake is complete, and acknowledged.
    fn ready() -> Self {
        Self::ready_as("3.3.4851.0")
    }

    fn ready_as(version: &str) -> Self {
        let mut agent = Self::completed(version);
        agent.now += NOTICES_AFTER;
        agent
    }

    /// One that does not regard its handshake as complete yet.
    fn completed(version: &str) -> Self {
        let mut agent = Self::asked_by(version, false);
        agent.acknowledge(0);
        agent.respond();
        assert_eq!(
            kinds(&agent.written()),
            ["acknowledge", "output_stream_data 1"]
        );
        agent.acknowledge(1);
        agent
    }

    fn respond(&mut self) {
        let response = HandshakeResponse {
            client_version: "1.2.764.0".to_owned(),
            ..HandshakeResponse::default()
        };
        let body = serde_json::to_vec(&response).expect("plain data");
        self.receive(0, PayloadType::HandshakeResponse, &body);
    }

    fn receive(&mut self, number: i64, kind: PayloadType, payload: &[u8]) {
        self.handle(message(MessageType::InputStreamData, number, kind, payload));
    }

    fn output(&mut self, number: i64, payload: &[u8]) {
        self.receive(number, PayloadType::Output, payload);
    }

    fn acknowledge(&mut self, number: i64) {
        let mut body = BytesMut::new();
        Acknowledge {
            message_type: MessageType::OutputStreamData,
            message_id: MessageId::default(),
            sequence_number: SequenceNumber(number),
        }
        .write(&mut body);
        self.handle(message(
            MessageType::Acknowledge,
            0,
            PayloadType::None,
            &body,
        ));
    }

    fn handle(&mut self, message: Bytes) {
        self.channel.handle(message, self.now, &mut self.port);
    }

    fn written(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.channel.poll_transmit())
            .map(|frame| Message::decode(frame).expect("sound"))
            .collect()
    }

    fn pass(&mut self, time: Duration) -> Vec<Message> {
        self.now += time;
        self.channel.handle_timeout(self.now);
        self.written()
    }
}

fn message(kind: MessageType, number: i64, payload_type: PayloadType, payload: &[u8]) -> Bytes {
    let header = Header {
        message_type: kind,
        schema_version: 1,
        created_date: MS,
        sequence_number: SequenceNumber(number),
        flags: Flags::NONE,
        message_id: MessageId::default(),
        payload_type,
    };
    Message {
        header,
        payload: Bytes::copy_from_slice(payload),
    }
    .encode()
}

/// Types, with the numbers of stream data.
fn kinds(messages: &[Message]) -> Vec<String> {
    messages
        .iter()
        .map(|message| match message.header.message_type {
            MessageType::OutputStreamData => {
                format!("output_stream_data {}", message.header.sequence_number)
            }
            ref other => other.to_string(),
        })
        .collect()
}

#[test]
fn data_before_handshake_complete_is_acknowledged_and_dropped() {
    let mut agent = Agent::asked(false);
    agent.output(0, b"early");
    assert_eq!(kinds(&agent.written()), ["acknowledge"]);
    assert_eq!(agent.port.received, b"");
}

#[test]
fn data_before_the_agent_notices_its_handshake_is_dropped() {
    let mut agent = Agent::completed("3.3.4851.0");
    agent.output(1, b"early");
    agent.now += NOTICES_AFTER;
    agent.output(2, b"late");
    assert_eq!(kinds(&agent.written()), ["acknowledge", "acknowledge"]);
    assert_eq!(agent.port.received, b"late");
}

#[test]
fn the_handshake_times_out_after_15_seconds() {
    let agent = Agent::asked(false);
    assert!(!agent.channel.has_timed_out(agent.now + 14_999 * MS));
    assert!(agent.channel.has_timed_out(agent.now + 15_000 * MS));
    let ready = Agent::ready();
    assert!(!ready.channel.has_timed_out(ready.now + 60_000 * MS));
}

#[test]
fn the_handshake_may_take_as_long_as_configured() {
    let now = tokio::time::Instant::now().into_std();
    for seconds in [1, 60] {
        let mut config = AgentConfig::new("3.3.5068.0", SessionProperties::default());
        config.handshake_timeout = Duration::from_secs(seconds);
        let channel = Channel::new(&config, 1, now, Duration::from_secs(1_795_000_000));
        let limit = now + Duration::from_secs(seconds);
        assert!(!channel.has_timed_out(limit - MS));
        assert!(channel.has_timed_out(limit));
    }
    let mut config = AgentConfig::new("3.3.5068.0", SessionProperties::default());
    config.handshake_timeout = Duration::MAX;
    let channel = Channel::new(&config, 1, now, Duration::from_secs(1_795_000_000));
    assert!(channel.poll_timeout() > now);
    assert!(!channel.has_timed_out(now + 60_000 * MS));
}

#[test]
fn a_client_that_fails_an_action_ends_the_session() {
    for status in [ActionStatus::Failed, ActionStatus::Unsupported] {
        let mut agent = Agent::asked(false);
        let response = HandshakeResponse {
            client_version: "1.2.764.0".to_owned(),
            processed_client_actions: vec![ProcessedAction {
                action_type: "SessionType".to_owned(),
                action_status: status,
                action_result: serde_json::Value::Null,
                error: String::new(),
            }],
            errors: None,
        };
        let body = serde_json::to_vec(&response).expect("plain data");
        agent.receive(0, PayloadType::HandshakeResponse, &body);
        assert_eq!(kinds(&agent.written()), ["acknowledge"]);
        let text = agent.channel.failed().expect("failed");
        assert!(text.contains("SessionType"), "{text}");
    }
}

#[test]
fn a_held_handshake_completes_when_released() {
    let mut agent = Agent::asked(true);
    agent.respond();
    assert_eq!(kinds(&agent.written()), ["acknowledge"]);
    agent.channel.release(agent.now);
    assert_eq!(kinds(&agent.written()), ["output_stream_data 1"]);
}

#[test]
fn a_message_is_acknowledged_when_taken_and_when_repeated() {
    let mut agent = Agent::ready();
    agent.port.not_ready = true;
    agent.output(1, b"a");
    assert_eq!(agent.written(), []);
    agent.port.not_ready = false;
    agent.output(1, b"a");
    agent.output(1, b"a");
    assert_eq!(kinds(&agent.written()), ["acknowledge", "acknowledge"]);
    assert_eq!(agent.port.received, b"a");
}

#[test]
fn agents_before_3_2_1041_0_do_not_acknowledge_duplicates() {
    for (version, again) in [("3.2.1041.0", true), ("3.2.1040.0", false)] {
        let mut agent = Agent::ready_as(version);
        agent.output(2, b"b");
        agent.output(2, b"b");
        assert_eq!(kinds(&agent.written()).len(), 2, "ahead, each time");
        agent.output(1, b"a");
        agent.written();
        for number in [1, 2] {
            agent.output(number, b"x");
            assert_eq!(!agent.written().is_empty(), again, "{version}, {number}");
        }
        assert_eq!(agent.port.received, b"ab");
    }
}

#[test]
fn unconnected_ports_refuse_data_or_drop_it_before_3_0_655_0() {
    for (version, rejects) in [("3.0.655.0", true), ("3.0.654.0", false)] {
        for kind in [PayloadType::Output, PayloadType::Size] {
            let mut agent = Agent::ready_as(version);
            agent.port.not_ready = true;
            agent.receive(1, kind, b"");
            agent.receive(2, PayloadType::Output, b"b");
            agent.port.not_ready = false;
            let acknowledged = if rejects { 1 } else { 2 };
            assert_eq!(agent.written().len(), acknowledged, "{version}, {kind:?}");
            agent.receive(1, kind, b"");
            let received: &[u8] = if rejects { b"b" } else { b"" };
            assert_eq!(agent.port.received, received, "{version}, {kind:?}");
        }
    }
}

#[test]
fn the_size_of_a_terminal_is_acknowledged_and_ignored() {
    for version in ["2.3.672.0", "3.1.1374.0", "3.3.4851.0"] {
        let mut agent = Agent::ready_as(version);
        agent.receive(1, PayloadType::Size, b"");
        agent.output(2, b"b");
        assert_eq!(agent.written().len(), 2);
        assert_eq!(agent.port.received, b"b");
    }
}

#[test]
fn early_messages_are_acknowledged_and_delivered_in_order() {
    let mut agent = Agent::ready();
    agent.output(3, b"c");
    agent.output(2, b"b");
    assert_eq!(kinds(&agent.written()), ["acknowledge", "acknowledge"]);
    agent.output(1, b"a");
    assert_eq!(agent.port.received, b"abc");
}

#[test]
fn digests_are_not_verified() {
    let mut agent = Agent::ready();
    let mut frame = message(MessageType::InputStreamData, 1, PayloadType::Output, b"x").to_vec();
    frame[80] ^= 1;
    agent.handle(frame.into());
    assert_eq!(agent.port.received, b"x");
}

#[test]
fn only_the_oldest_message_is_repeated_every_100_ms() {
    let mut agent = Agent::ready();
    for byte in [b"a", b"b", b"c"] {
        agent.channel.send(PayloadType::Output, byte, agent.now);
    }
    assert_eq!(agent.written().len(), 3);
    let mut again = Vec::new();
    for _ in 0..10 {
        again.extend(kinds(&agent.pass(100 * MS)));
    }
    assert!(again.len() >= 3, "{again:?}");
    assert!(
        again.iter().all(|kind| kind == "output_stream_data 2"),
        "{again:?}"
    );
    agent.acknowledge(2);
    let next = kinds(&agent.pass(1000 * MS));
    assert_eq!(next, ["output_stream_data 3"]);
}

#[test]
fn a_pause_keeps_messages_and_stops_repetition() {
    let mut agent = Agent::ready();
    agent.channel.send(PayloadType::Output, b"a", agent.now);
    agent.written();
    agent.handle(message(
        MessageType::PausePublication,
        0,
        PayloadType::None,
        b"{}",
    ));
    assert!(!agent.channel.is_active());
    assert_eq!(agent.pass(5000 * MS), []);
    agent.handle(message(
        MessageType::StartPublication,
        0,
        PayloadType::None,
        b"{}",
    ));
    assert_eq!(kinds(&agent.pass(100 * MS)), ["output_stream_data 2"]);
}

#[test]
fn flags_reach_the_port() {
    let mut agent = Agent::ready();
    agent.receive(1, PayloadType::Flag, &Flag::DisconnectToPort.to_bytes());
    assert_eq!(agent.port.flags, [Flag::DisconnectToPort]);
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

fn unhex(hex: &str) -> Bytes {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex digits"))
        .collect()
}

/// A message without its id, date and times.
fn essence(message: &Message) -> (String, i64, u64, PayloadType, serde_json::Value) {
    let mut payload = serde_json::from_slice::<serde_json::Value>(&message.payload)
        .unwrap_or_else(|_| message.payload.to_vec().into());
    for volatile in ["HandshakeTimeToComplete", "SessionId"] {
        if let Some(value) = payload.get_mut(volatile) {
            *value = serde_json::Value::Null;
        }
    }
    let header = &message.header;
    (
        header.message_type.to_string(),
        header.sequence_number.0,
        header.flags.0,
        header.payload_type,
        payload,
    )
}

/// The real agent's messages, given the real client's.
#[test]
fn messages_match_those_recorded_from_the_real_agent() {
    for text in [
        include_str!("recorded/session-mux.json"),
        include_str!("recorded/session-basic.json"),
    ] {
        let recording: Recording = serde_json::from_str(text).expect("JSON");
        let messages: Vec<(u64, bool, Message)> = recording
            .messages
            .iter()
            .filter(|recorded| recorded.ws_opcode == 2 && recorded.dir.contains('a'))
            .filter(|recorded| ["a2c", "c2a"].contains(&recorded.dir.as_str()))
            .map(|recorded| {
                let message = Message::decode(unhex(&recorded.hex)).expect("sound");
                (recorded.t_us, recorded.dir == "a2c", message)
            })
            .collect();
        let request = messages
            .iter()
            .find(|(_, _, message)| message.header.payload_type == PayloadType::HandshakeRequest)
            .expect("the agent asks");
        let request: ssm_protocol::payload::HandshakeRequest =
            serde_json::from_slice(&request.2.payload).expect("a request");
        let (_, properties) = request.requested_client_actions[0]
            .session_type()
            .expect("a type");

        let start = tokio::time::Instant::now().into_std();
        let unix = Duration::from_secs(1_795_000_000);
        let mut config = AgentConfig::new(&recording.agent_version, properties);
        config.notices_after = Duration::ZERO;
        let mut channel = Channel::new(&config, 1, start, unix);
        let mut port = Port::default();
        let mut written = Vec::new();
        let mut expected = Vec::new();
        for (at, by_agent, message) in &messages {
            let now = start + Duration::from_micros(*at);
            if *by_agent {
                // The port's bytes come from the destination; the rest comes by itself.
                if message.header.payload_type == PayloadType::Output {
                    channel.send(PayloadType::Output, &message.payload, now);
                }
                expected.push(essence(message));
            } else {
                channel.handle(message.encode(), now, &mut port);
            }
            while let Some(frame) = channel.poll_transmit() {
                written.push(essence(&Message::decode(frame).expect("sound")));
            }
        }
        // Both directions cross on the wire: each kind in its own order.
        for kind in ["agent_session_state", "acknowledge", "output_stream_data"] {
            let of_kind = |all: &[(String, i64, u64, PayloadType, serde_json::Value)]| {
                all.iter()
                    .filter(|message| message.0 == kind)
                    .cloned()
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                of_kind(&written),
                of_kind(&expected),
                "{}",
                recording.agent_version
            );
        }
        assert!(!port.received.is_empty());
    }
}

#[test]
fn unacknowledged_messages_are_reprocessed_from_3_0_655_0_on() {
    for (version, received, again) in [
        ("3.3.4851.0", &b"onceonceonce"[..], 2),
        ("3.0.655.0", b"onceonceonce", 2),
        ("3.0.654.0", b"once", 0),
    ] {
        let mut agent = Agent::ready_as(version);
        agent.channel.set_broken(true);
        for _ in 0..2 {
            agent.output(1, b"once");
        }
        // Ahead of it, nothing is kept that cannot be acknowledged.
        agent.output(2, b", then the next");
        assert!(agent.written().is_empty(), "agent {version}");
        agent.channel.set_broken(false);
        agent.output(1, b"once");
        assert_eq!(agent.port.received, received, "agent {version}");
        assert_eq!(agent.channel.repeated(), again, "agent {version}");
        assert_eq!(kinds(&agent.written()), ["acknowledge"], "agent {version}");
    }
}
