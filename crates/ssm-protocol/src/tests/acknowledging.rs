use bytes::BytesMut;
use serde_json::Value;

use super::peer::{Client, acknowledgement, control};
use crate::payload::Acknowledge;
use crate::wire::{Flags, MessageType, PayloadType, SequenceNumber};

#[test]
fn acknowledgements_match_the_reference_peer() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/golden/frames.json")).expect("JSON");
    let mut compared = 0;
    for vector in vectors
        .iter()
        .filter(|vector| vector["message_type"] == "acknowledge")
    {
        let hex = vector["payload_hex"].as_str().expect("text");
        let expected: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
            .collect();
        let body = Acknowledge::read(&expected).expect("the reference peer's are sound");
        let mut written = BytesMut::new();
        body.write(&mut written);
        assert_eq!(written, expected, "{}", vector["name"]);
        compared += 1;
    }
    assert_eq!(compared, 3);
}

#[test]
fn acknowledgement_names_the_message_and_has_no_number() {
    let mut client = Client::ready();
    let output = client.output(2, "data");
    let header = &output.transmitted[0].header;
    assert_eq!(header.message_type, MessageType::Acknowledge);
    assert_eq!(header.sequence_number, SequenceNumber(0));
    assert_eq!(header.flags, Flags::SYN | Flags::FIN);
    assert_eq!(header.payload_type, PayloadType::None);
    assert_eq!(
        output.transmitted[0].payload,
        &br#"{"AcknowledgedMessageType":"output_stream_data","AcknowledgedMessageId":"00000000-0000-0000-0000-000000000002","AcknowledgedMessageSequenceNumber":2,"IsSequentialMessage":true}"#[..],
    );
}

#[test]
fn acknowledgements_of_unknown_numbers_are_ignored() {
    let mut client = Client::ready();
    let number = client.send("data").numbers()[0];
    let before = client.session.stats();
    for unknown in [number + 1, number + 1000, i64::MAX, -1, i64::MIN, 0] {
        client.acknowledge(unknown);
        assert_eq!(client.session.stats(), before, "after {unknown}");
    }
    client.acknowledge(number);
    let after = client.session.stats();
    assert_eq!(after.unacknowledged, 0);
    client.acknowledge(number);
    assert_eq!(client.session.stats(), after);
}

#[test]
fn acknowledgement_before_transmission_is_ignored() {
    let mut client = Client::ready();
    let now = client.now;
    client.session.send(b"queued", now).expect("room");
    client
        .session
        .handle_message(acknowledgement(MessageType::InputStreamData, 1), now)
        .expect("wrong, not fatal");
    assert_eq!(client.session.stats().unacknowledged, 6);
    assert_eq!(client.drain().numbers(), [1]);
}

#[test]
fn an_acknowledgement_of_the_other_direction_is_ignored() {
    let mut client = Client::ready();
    let number = client.send("data").numbers()[0];
    client
        .receive(acknowledgement(MessageType::OutputStreamData, number))
        .expect("wrong, not fatal");
    assert_eq!(client.session.stats().unacknowledged, 4);
}

#[test]
fn an_unreadable_acknowledgement_is_ignored() {
    let mut client = Client::ready();
    client.send("data");
    for body in ["", "null", "[]", "{", r#"{"AcknowledgedMessageType":1}"#] {
        client
            .receive(control(MessageType::Acknowledge, body))
            .expect("wrong, not fatal");
    }
    assert_eq!(client.session.stats().unacknowledged, 4);
}

#[test]
fn acknowledgements_tolerate_other_json_spellings() {
    let mut client = Client::ready();
    let number = client.send("data").numbers()[0];
    let body = format!(
        r#"{{"News":[null],"AcknowledgedMessageSequenceNumber":{number},"AcknowledgedMessageType":"input\u005fstream_data","AcknowledgedMessageId":"00000000-0000-0000-0000-000000000001"}}"#
    );
    client
        .receive(control(MessageType::Acknowledge, body))
        .expect("sound");
    assert_eq!(client.session.stats().unacknowledged, 0);
}

#[test]
fn acknowledgements_are_transmitted_before_data() {
    let mut client = Client::ready();
    let now = client.now;
    client.session.send(b"queued", now).expect("room");
    let output = client.output(2, "data");
    assert_eq!(output.acknowledged(), [2]);
    assert_eq!(output.numbers(), [1]);
    assert_eq!(
        output.transmitted[0].header.message_type,
        MessageType::Acknowledge
    );
}
