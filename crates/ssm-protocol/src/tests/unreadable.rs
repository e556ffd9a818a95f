use bytes::Bytes;

use super::peer::{Client, stream_data};
use crate::wire::{DecodeError, MessageType, PayloadType};
use crate::{SessionConfig, SessionError, SessionEvent};

fn flipped(number: i64) -> Bytes {
    let mut frame = stream_data(number, PayloadType::Output, &b"data"[..]).to_vec();
    frame[120] ^= 1;
    frame.into()
}

#[test]
fn unreadable_message_is_dropped_and_not_acknowledged() {
    let mut client = Client::ready();
    let output = client
        .receive(flipped(2))
        .expect("one bad message is no end");
    assert!(output.transmitted.is_empty() && output.events.is_empty());
    assert_eq!(client.session.stats().bad, 1);
    // The peer sends it again, and that one is taken.
    let output = client.output(2, "data");
    assert_eq!(output.acknowledged(), [2]);
    assert_eq!(output.data(), ["data"]);
}

#[test]
fn unreadable_messages_in_a_row_end_the_session() {
    let config = SessionConfig {
        max_bad_messages: 3,
        ..SessionConfig::default()
    };
    let mut client = Client::ready_with(config);
    assert!(client.receive(flipped(2)).is_ok());
    assert!(client.receive(Bytes::from_static(b"?")).is_ok());
    assert_eq!(
        client.receive(flipped(2)).expect_err("the third in a row"),
        SessionError::BadMessages {
            count: 3,
            last: DecodeError::PayloadDigest
        },
    );
}

#[test]
fn readable_message_resets_the_unreadable_count() {
    let config = SessionConfig {
        max_bad_messages: 3,
        ..SessionConfig::default()
    };
    let mut client = Client::ready_with(config);
    for number in 2..50 {
        assert!(client.receive(flipped(number)).is_ok());
        assert!(client.receive(flipped(number)).is_ok());
        assert_eq!(client.output(number, "x").acknowledged(), [number]);
    }
    assert_eq!(client.session.stats().bad, 96);
}

#[test]
fn unknown_message_types_and_the_agents_state_are_ignored() {
    let mut client = Client::ready();
    for message_type in [
        MessageType::AgentSessionState,
        MessageType::Other("interactive_shell".into()),
        // Our own direction, echoed.
        MessageType::InputStreamData,
    ] {
        let output = client.publication(message_type);
        assert!(output.transmitted.is_empty() && output.events.is_empty());
    }
    assert_eq!(client.session.stats().bad, 0);
    assert_eq!(client.output(2, "alive").data(), ["alive"]);
}

#[test]
fn an_unknown_payload_type_is_handed_over_in_order() {
    let mut client = Client::ready();
    let frame = stream_data(2, PayloadType::Other(77), &b"?"[..]);
    let output = client.receive(frame).expect("unknown, not wrong");
    assert_eq!(output.acknowledged(), [2]);
    assert_eq!(
        output.events,
        [SessionEvent::Other(
            PayloadType::Other(77),
            Bytes::from_static(b"?")
        )]
    );
}
