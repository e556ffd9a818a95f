//! What a run does, read from the input.

use arbitrary::Arbitrary;
use bytes::Bytes;
use ssm_protocol::payload::{HandshakeRequest, SessionProperties};
use ssm_protocol::wire::PayloadType;

use super::STREAM;

#[derive(Debug, Arbitrary)]
pub(super) struct Plan {
    pub(super) agent: bool,
    pub(super) max_payload: u8,
    pub(super) min_window: u16,
    pub(super) max_window: u16,
    pub(super) reorder_bytes: u16,
    pub(super) max_bad_messages: u8,
    /// A sound handshake comes first on the peer's stream.
    pub(super) sound: bool,
    pub(super) stream: [Sent; STREAM],
}

/// One message of the peer's stream; its number decides it, as with a real peer.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) struct Sent {
    pub(super) kind: u8,
    pub(super) length: u8,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Step {
    Connect,
    Disconnect,
    Publication {
        pause: bool,
    },
    /// The peer's message with this number.
    Stream {
        number: u8,
    },
    /// One of a number that is never reached.
    Far {
        number: i64,
        length: u16,
    },
    Next,
    Damaged {
        number: u8,
        at: u16,
        bit: u8,
        cut: bool,
    },
    Acknowledgement {
        number: i8,
        of_own: bool,
        far: bool,
    },
    AcknowledgeAll,
    Other {
        kind: u8,
        length: u8,
    },
    Raw([u8; 24]),
    Send {
        length: u16,
    },
    Flag(u32),
    Wait {
        ms: u16,
    },
    /// To the next timer, as a caller does.
    WaitForTimer,
    Transmit {
        count: u8,
    },
    TransmitAll,
}

pub(super) fn is_handshake(kind: PayloadType) -> bool {
    matches!(
        kind,
        PayloadType::HandshakeRequest
            | PayloadType::HandshakeResponse
            | PayloadType::HandshakeComplete
    )
}

pub(super) fn properties() -> SessionProperties {
    [("type", "LocalPortForwarding"), ("portNumber", "3389")]
        .into_iter()
        .collect()
}

/// The peer's stream as the plan has it.
pub(super) fn stream(plan: &Plan) -> Vec<(PayloadType, Bytes)> {
    let request = || {
        let request = HandshakeRequest::port("3.3.1142.0", &properties());
        serde_json::to_vec(&request).expect("plain data serialises")
    };
    let response = || {
        br#"{"ClientVersion":"1.2.896.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1}],"Errors":null}"#.to_vec()
    };
    let complete = || br#"{"HandshakeTimeToComplete":1,"CustomerMessage":""}"#.to_vec();
    let sound: &[u8] = match (plan.sound, plan.agent) {
        (false, _) => &[],
        (true, true) => &[1],
        (true, false) => &[0, 2],
    };
    let kinds = plan.stream.iter().enumerate().map(|(at, sent)| {
        (
            sound.get(at).copied().unwrap_or(sent.kind % 16),
            usize::from(sent.length),
        )
    });
    kinds
        .map(|(kind, length)| match kind {
            0 => (PayloadType::HandshakeRequest, request()),
            1 => (PayloadType::HandshakeResponse, response()),
            2 => (PayloadType::HandshakeComplete, complete()),
            3 => (PayloadType::HandshakeRequest, b"{}".to_vec()),
            4 => (PayloadType::HandshakeResponse, b"{".to_vec()),
            5 => (PayloadType::Flag, vec![0, 0, 0, length as u8]),
            6 => (PayloadType::Flag, vec![1; length % 8]),
            7 => (PayloadType::Other(99), vec![9; length]),
            kind => (PayloadType::Output, vec![kind; length * 2]),
        })
        .map(|(kind, payload)| (kind, Bytes::from(payload)))
        .collect()
}
