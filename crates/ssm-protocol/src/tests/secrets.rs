use bytes::Bytes;
use uuid::Uuid;

use super::peer::{Client, message, stream_data};
use crate::payload::{OpenDataChannel, Token};
use crate::wire::{MessageType, PayloadType};

const MARKER: &str = "swordfish";

/// Both forms, as text and as the numbers a derived `Debug` of bytes might show.
fn assert_hidden(what: &str, debug: &str) {
    assert!(!debug.contains(MARKER), "{what}: {debug}");
    let numbers = format!("{:?}", MARKER.as_bytes());
    assert!(
        !debug.contains(numbers.trim_matches(['[', ']'])),
        "{what}: {debug}"
    );
}

#[test]
fn debug_of_a_session_shows_no_payload_bytes() {
    let mut client = Client::ready();
    let now = client.now;
    client.session.send(MARKER.as_bytes(), now).expect("room");
    let debug = |client: &Client| format!("{:?}{:#?}", client.session, client.session);
    assert_hidden("queued to be sent", &debug(&client));
    client.drain();
    assert_hidden("sent", &debug(&client));
    client.output(3, MARKER);
    assert_hidden("kept ahead of a missing message", &debug(&client));
    let frame = stream_data(2, PayloadType::Output, MARKER);
    client.session.handle_message(frame, now).expect("sound");
    assert_hidden("delivered, not taken", &debug(&client));
}

#[test]
fn debug_of_messages_and_events_shows_lengths_only() {
    let mut client = Client::ready();
    for (number, kind) in [
        (2, PayloadType::Output),
        (3, PayloadType::StdErr),
        (4, PayloadType::Flag),
        (5, PayloadType::Other(99)),
    ] {
        let frame = message(MessageType::OutputStreamData, number, kind, MARKER);
        assert_hidden("message", &format!("{frame:?}{frame:#?}"));
        let output = client.receive(frame.encode()).expect("sound");
        assert_eq!(output.events.len(), 1);
        let debug = format!("{:?}{:#?}", output.events, output.events);
        assert_hidden("event", &debug);
        assert!(debug.contains("9 bytes"), "{debug}");
    }
}

#[test]
fn the_error_of_an_unreadable_message_shows_no_payload_bytes() {
    let mut frame = stream_data(2, PayloadType::Output, MARKER).to_vec();
    frame[80] ^= 1;
    let error = crate::wire::Message::decode(frame.into()).expect_err("a wrong digest");
    assert_hidden("error", &format!("{error}{error:?}"));
    let garbage = crate::wire::Message::decode(Bytes::from_static(MARKER.as_bytes()));
    let error = garbage.expect_err("garbage");
    assert_hidden("error", &format!("{error}{error:?}"));
}

#[test]
fn debug_never_shows_the_token() {
    let token = Token::new(MARKER);
    assert_hidden("token", &format!("{token:?}{token:#?}"));
    assert_eq!(format!("{token:?}"), "Token(** redacted **)");
    let open = OpenDataChannel {
        request_id: Uuid::from_u128(1),
        token: &token,
        client_id: Uuid::from_u128(2),
        client_version: "1.2.3.4",
    };
    assert_hidden("OpenDataChannel", &format!("{open:?}{open:#?}"));
    assert!(open.to_json().contains(MARKER));
}

#[test]
fn an_empty_token_says_that_the_session_is_gone() {
    assert!(Token::new("").is_empty());
    assert!(!Token::new(MARKER).is_empty());
}
