//! Any bytes as a message of the data channel.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};
use ssm_protocol::wire::{
    DecodeError, Flags, HEADER_LENGTH, Header, Message, MessageId, MessageType, PAYLOAD_OFFSET,
    PayloadType, SequenceNumber,
};

/// The recorded frames.
pub fn seeds() -> Vec<Vec<u8>> {
    super::recorded::frames()
        .iter()
        .map(|frame| frame.to_vec())
        .collect()
}

/// Reads `data` as a frame; and writes a message made from it, which must read the same.
pub fn run(data: &[u8]) {
    read(data);
    let mut unstructured = Unstructured::new(data);
    if let Ok(fields) = Fields::arbitrary(&mut unstructured) {
        write(&fields, unstructured.take_rest());
    }
}

fn read(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let verified = Message::decode(frame.clone());
    let unverified = Message::decode_unverified(frame);
    match &verified {
        Ok(message) => {
            assert_eq!(verified, unverified);
            assert!(data.ends_with(&message.payload));
            check_again(message);
        }
        Err(DecodeError::PayloadDigest) => {
            let message = unverified.expect("only the digest is wrong");
            // Written by us the digest is right.
            check_again(&message);
        }
        Err(error) => {
            assert_eq!(unverified.as_ref(), Err(error));
            assert!(!error.to_string().is_empty());
        }
    }
}

/// What was read can be written, and then reads the same.
fn check_again(message: &Message) {
    let frame = message.encode();
    assert_eq!(frame.len(), PAYLOAD_OFFSET + message.payload.len());
    match Message::decode(frame.clone()) {
        Ok(again) => assert_eq!(&again, message),
        // Publication messages are taken with any date, others are not.
        Err(error) => panic!("{error}: {message:?}"),
    }
    assert_eq!(
        frame.get(..4),
        Some(&(HEADER_LENGTH as u32).to_be_bytes()[..])
    );
}

#[derive(Debug, Arbitrary)]
struct Fields {
    kind: u8,
    schema_version: u32,
    created_ms: u64,
    sequence_number: i64,
    flags: u64,
    message_id: u128,
    payload_type: u32,
    flip: u16,
}

fn write(fields: &Fields, payload: &[u8]) {
    let message_type = match fields.kind % 8 {
        0 => MessageType::InputStreamData,
        1 => MessageType::OutputStreamData,
        2 => MessageType::Acknowledge,
        3 => MessageType::ChannelClosed,
        4 => MessageType::StartPublication,
        5 => MessageType::PausePublication,
        6 => MessageType::AgentSessionState,
        _ => MessageType::Other("a_type_of_the_future".to_owned()),
    };
    let publication = matches!(
        message_type,
        MessageType::StartPublication | MessageType::PausePublication
    );
    let header = Header {
        message_type,
        schema_version: fields.schema_version,
        created_date: Duration::from_millis(fields.created_ms),
        sequence_number: SequenceNumber(fields.sequence_number),
        flags: Flags(fields.flags),
        message_id: MessageId(uuid(fields.message_id)),
        payload_type: PayloadType::from(fields.payload_type),
    };
    let mut frame = BytesMut::zeroed(PAYLOAD_OFFSET);
    frame.extend_from_slice(payload);
    header.seal(&mut frame);
    let written = Message::decode(frame.clone().freeze());
    if fields.created_ms == 0 && !publication {
        assert_eq!(written, Err(DecodeError::CreatedDate));
        return;
    }
    let written = written.expect("what we write can be read");
    assert_eq!(written.header, header);
    assert_eq!(written.payload, payload);

    // One damaged bit of what the digest covers never passes.
    if !payload.is_empty() && !publication {
        let bits = payload.len() * 8;
        let bit = usize::from(fields.flip) % bits;
        if let Some(byte) = frame.get_mut(PAYLOAD_OFFSET + bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        assert_eq!(
            Message::decode(frame.freeze()),
            Err(DecodeError::PayloadDigest)
        );
    }
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}
