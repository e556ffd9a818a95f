//! Any bytes as what a message carries.

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use ssm_protocol::Capabilities;
use ssm_protocol::payload::{
    Acknowledge, ChannelClosed, Flag, HandshakeComplete, HandshakeRequest, HandshakeResponse,
    RequestedAction, SessionProperties,
};
use ssm_protocol::wire::Message;

/// The recorded bodies, and some that only look like one.
pub fn seeds() -> Vec<Vec<u8>> {
    let recorded = super::recorded::frames();
    let bodies = recorded
        .iter()
        .filter_map(|frame| Message::decode(frame.clone()).ok())
        .map(|message| message.payload)
        .filter(|payload| payload.starts_with(b"{") || payload.len() == 4);
    let odd = [
        "",
        "null",
        "{}",
        "[]",
        "3.3.1142.0",
        "3.0.196.0",
        "4294967296.0",
        "....",
        "\0\0\0\u{3}",
        r#"{"ActionType":"SessionType","ActionParameters":{"SessionType":"Port","Properties":{"portNumber":["3389"],"type":"LocalPortForwarding","a":1,"b":null}}}"#,
        r#"{"AgentVersion":null,"RequestedClientActions":null}"#,
        r#"{"ProcessedClientActions":[{"ActionStatus":4}]}"#,
        r#"{"HandshakeTimeToComplete":9223372036854775808}"#,
    ];
    bodies
        .chain(odd.map(Bytes::from))
        .map(|body| body.to_vec())
        .collect()
}

/// Reads `data` as each of them.
pub fn run(data: &[u8]) {
    stable::<HandshakeRequest>(data);
    stable::<HandshakeResponse>(data);
    stable::<HandshakeComplete>(data);
    stable::<ChannelClosed>(data);
    assert_eq!(
        ChannelClosed::read(data).ok(),
        serde_json::from_slice(data).ok()
    );
    acknowledge(data);
    properties(data);
    flag(data);
    if let Ok(text) = std::str::from_utf8(data) {
        version(text);
    }
}

/// Written again, what was read reads the same.
fn stable<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(data: &[u8]) {
    match serde_json::from_slice::<T>(data) {
        Ok(read) => {
            if has_fractions(data) {
                return; // read to the nearest but one, for speed
            }
            let text = serde_json::to_vec(&read).expect("plain data serialises");
            let again: T = serde_json::from_slice(&text).expect("what we write can be read");
            assert_eq!(read, again);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn has_fractions(data: &[u8]) -> bool {
    fn inside(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_f64(),
            Value::Array(values) => values.iter().any(inside),
            Value::Object(values) => values.values().any(inside),
            _ => false,
        }
    }
    serde_json::from_slice(data).is_ok_and(|value| inside(&value))
}

fn acknowledge(data: &[u8]) {
    let Ok(body) = Acknowledge::read(data) else {
        return;
    };
    if matches!(body.message_type, ssm_protocol::wire::MessageType::Other(_)) {
        return; // never written
    }
    let mut text = BytesMut::new();
    body.write(&mut text);
    assert_eq!(
        Acknowledge::read(&text).expect("what we write can be read"),
        body
    );
}

fn properties(data: &[u8]) {
    stable::<SessionProperties>(data);
    if let Ok(action) = serde_json::from_slice::<RequestedAction>(data)
        && let Some((kind, properties)) = action.session_type()
    {
        let text = action
            .action_parameters
            .get("SessionType")
            .and_then(Value::as_str);
        assert_eq!(text, Some(kind.as_str()));
        let given = action
            .action_parameters
            .pointer("/Properties/type")
            .is_some_and(|value| {
                *value == "LocalPortForwarding"
                    || *value == serde_json::json!(["LocalPortForwarding"])
            });
        assert_eq!(properties.is_local_port_forwarding(), given);
    }
}

fn flag(data: &[u8]) {
    match Flag::read(data) {
        Some(flag) => assert_eq!(flag.to_bytes(), data),
        None => assert_ne!(data.len(), 4),
    }
}

/// A later agent can do at least what an earlier one can, and one of unknown age nothing.
fn version(text: &str) {
    let port: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
    let found = Capabilities::of(text, &port);
    let numbers: Option<Vec<u32>> = text
        .trim()
        .split('.')
        .map(|part| part.parse().ok())
        .collect();
    let numbers = numbers
        .filter(|numbers| numbers.len() <= 4)
        .unwrap_or_default();
    let is_above = |other: [u32; 4]| {
        let mut padded = numbers.clone();
        padded.resize(4, 0);
        padded.as_slice() > other.as_slice()
    };
    assert_eq!(found.multiplexing, is_above([3, 0, 196, 0]));
    assert_eq!(found.smux_keepalive, !is_above([3, 1, 1511, 0]));
    assert_eq!(found.terminate_flag, is_above([2, 3, 722, 0]));
    let other = Capabilities::of(text, &SessionProperties::default());
    assert!(!other.multiplexing);
}
