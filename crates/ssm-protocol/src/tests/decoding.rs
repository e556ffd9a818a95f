use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::UNIX_TIME;
use super::peer::{Client, control, message, stream_data};
use crate::wire::{
    DecodeError, Flags, HEADER_LENGTH, Header, Message, MessageId, MessageType, PAYLOAD_OFFSET,
    PayloadType, SequenceNumber,
};

/// A sound message of four payload bytes, then `change`d.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<Message, DecodeError> {
    let mut frame = stream_data(5, PayloadType::Output, &b"data"[..]).to_vec();
    change(&mut frame);
    Message::decode(frame.into())
}

fn put(frame: &mut [u8], offset: usize, bytes: &[u8]) {
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn type_field(name: &[u8], padding: u8) -> [u8; 32] {
    let mut field = [padding; 32];
    field[..name.len()].copy_from_slice(name);
    field
}

#[test]
fn a_sound_message_is_read() {
    let message = changed(|_| ()).expect("nothing was changed");
    assert_eq!(message.payload, &b"data"[..]);
    assert_eq!(message.header.sequence_number, SequenceNumber(5));
}

#[test]
fn a_frame_shorter_than_a_header_is_refused_at_every_length() {
    let frame = stream_data(5, PayloadType::Output, Bytes::new());
    assert_eq!(frame.len(), PAYLOAD_OFFSET);
    for length in 0..PAYLOAD_OFFSET {
        assert_eq!(
            Message::decode(frame.slice(..length)),
            Err(DecodeError::TooShort {
                expected: PAYLOAD_OFFSET,
                found: length
            }),
        );
    }
    assert!(Message::decode(frame).is_ok());
}

#[test]
fn a_header_length_below_116_is_refused() {
    for found in [0, 1, 112, 115] {
        let result = changed(|frame| put(frame, 0, &u32::to_be_bytes(found)));
        assert_eq!(result, Err(DecodeError::HeaderLength { found, frame: 124 }));
    }
}

#[test]
fn a_header_length_past_the_end_is_refused() {
    // 120 is the last that leaves room for PayloadLength in a frame of 124 bytes.
    for found in [121, 124, 1 << 31, u32::MAX - 3, u32::MAX] {
        let result = changed(|frame| put(frame, 0, &u32::to_be_bytes(found)));
        assert_eq!(result, Err(DecodeError::HeaderLength { found, frame: 124 }));
    }
}

#[test]
fn a_longer_header_moves_the_payload_and_is_not_kept_in_memory() {
    let sound = stream_data(5, PayloadType::Output, &b"data"[..]);
    let extra = [0xee; 1000];
    let mut frame = sound[..HEADER_LENGTH].to_vec();
    frame.extend_from_slice(&extra);
    frame.extend_from_slice(&sound[HEADER_LENGTH..]);
    put(&mut frame, 0, &u32::to_be_bytes(1116));
    let frame = Bytes::from(frame);

    let message = Message::decode(frame.clone()).expect("a longer header is sound");
    assert_eq!(message.payload, &b"data"[..]);
    assert_eq!(message.header.sequence_number, SequenceNumber(5));
    assert!(frame.is_unique(), "the payload keeps the long header alive");
}

#[test]
fn a_payload_length_that_differs_from_what_follows_is_refused() {
    for declared in [0, 3, 5, u32::MAX] {
        let result = changed(|frame| put(frame, HEADER_LENGTH, &u32::to_be_bytes(declared)));
        assert_eq!(
            result,
            Err(DecodeError::PayloadLength { declared, found: 4 })
        );
    }
    let cut_off = changed(|frame| frame.truncate(123));
    assert_eq!(
        cut_off,
        Err(DecodeError::PayloadLength {
            declared: 4,
            found: 3
        })
    );
    let trailing = changed(|frame| frame.push(0));
    assert_eq!(
        trailing,
        Err(DecodeError::PayloadLength {
            declared: 4,
            found: 5
        })
    );
}

#[test]
fn one_flipped_bit_in_the_payload_or_its_digest_is_refused() {
    for at in (80..112).chain(PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4) {
        let result = changed(|frame| frame[at] ^= 0x10);
        assert_eq!(result, Err(DecodeError::PayloadDigest), "byte {at}");
    }
}

#[test]
fn the_digest_of_an_empty_payload_is_not_compared() {
    let mut frame = stream_data(5, PayloadType::Output, Bytes::new()).to_vec();
    put(&mut frame, 80, &[0; 32]);
    assert!(Message::decode(frame.into()).is_ok());
}

#[test]
fn decoding_unverified_checks_everything_but_the_digest() {
    let sound = stream_data(5, PayloadType::Output, &b"data"[..]);
    let mut wrong_digest = sound.to_vec();
    wrong_digest[80] ^= 1;
    assert!(Message::decode_unverified(wrong_digest.into()).is_ok());
    assert_eq!(
        Message::decode_unverified(sound.slice(..123)),
        Err(DecodeError::PayloadLength {
            declared: 4,
            found: 3
        }),
    );
}

#[test]
fn a_created_date_of_zero_is_refused() {
    let result = changed(|frame| put(frame, 40, &[0; 8]));
    assert_eq!(result, Err(DecodeError::CreatedDate));
}

#[test]
fn message_type_must_be_printable_ascii() {
    for field in [
        [b' '; 32],
        [0; 32],
        [0xff; 32],
        type_field("ächzt".as_bytes(), b' '),
        type_field(b"output\0stream", b' '),
        type_field(b"output\nstream", b' '),
    ] {
        let result = changed(|frame| put(frame, 4, &field));
        assert_eq!(result, Err(DecodeError::MessageType), "{field:?}");
    }
}

#[test]
fn a_message_type_is_padded_with_spaces_or_nuls() {
    for padding in [b' ', 0] {
        for (name, expected) in [
            ("output_stream_data", MessageType::OutputStreamData),
            ("channel_closed", MessageType::ChannelClosed),
            ("agent_session_state", MessageType::AgentSessionState),
            (
                "news_of_32_characters_and_no_less",
                MessageType::Other("x".into()),
            ),
        ] {
            let name = &name[..name.len().min(32)];
            let field = type_field(name.as_bytes(), padding);
            let message = changed(|frame| put(frame, 4, &field)).expect("a sound type");
            match expected {
                MessageType::Other(_) => {
                    assert_eq!(message.header.message_type, MessageType::Other(name.into()));
                }
                expected => assert_eq!(message.header.message_type, expected),
            }
        }
    }
}

#[test]
fn negative_sequence_number_is_refused_by_the_session() {
    for number in [-1, i64::MIN] {
        let frame = stream_data(number, PayloadType::Output, &b"data"[..]);
        let message = Message::decode(frame.clone()).expect("signed on the wire");
        assert_eq!(message.header.sequence_number, SequenceNumber(number));

        let mut client = Client::ready();
        let output = client.receive(frame).expect("one bad message is no end");
        assert_eq!(output.acknowledged(), [0_i64; 0]);
        assert_eq!(client.session.stats().bad, 1);
    }
}

#[test]
fn publication_messages_are_taken_by_their_type_alone() {
    for message_type in [MessageType::StartPublication, MessageType::PausePublication] {
        let sound = control(message_type.clone(), &b"{}"[..]);
        let mut wrong_digest = sound.to_vec();
        wrong_digest[80] ^= 1;
        let mut no_header_length = sound.to_vec();
        no_header_length[..4].fill(0);
        let mut no_date = sound.to_vec();
        no_date[40..48].fill(0);
        let mut frames = vec![wrong_digest, no_header_length, no_date];
        frames.extend((36..sound.len()).map(|length| sound[..length].to_vec()));
        for frame in frames {
            let length = frame.len();
            let message = Message::decode(frame.into())
                .unwrap_or_else(|error| panic!("{message_type} of {length} bytes: {error}"));
            assert_eq!(message.header.message_type, message_type);
        }
        // Without its whole type it is nothing.
        assert!(Message::decode(sound.slice(..35)).is_err());
    }
}

fn message_types() -> impl Strategy<Value = MessageType> {
    prop_oneof![
        Just(MessageType::InputStreamData),
        Just(MessageType::OutputStreamData),
        Just(MessageType::Acknowledge),
        Just(MessageType::ChannelClosed),
        Just(MessageType::StartPublication),
        Just(MessageType::PausePublication),
        Just(MessageType::AgentSessionState),
        "x[a-z_]{0,31}".prop_map(MessageType::Other),
    ]
}

prop_compose! {
    fn messages()(
        message_type in message_types(),
        schema_version: u32,
        created_ms in 1..=u64::MAX / 2,
        sequence_number: i64,
        flags: u64,
        message_id: u128,
        payload_type: u32,
        payload in prop::collection::vec(any::<u8>(), 0..3000),
    ) -> Message {
        Message {
            header: Header {
                message_type,
                schema_version,
                created_date: std::time::Duration::from_millis(created_ms),
                sequence_number: SequenceNumber(sequence_number),
                flags: Flags(flags),
                message_id: MessageId(Uuid::from_u128(message_id)),
                payload_type: payload_type.into(),
            },
            payload: payload.into(),
        }
    }
}

proptest! {
    #[test]
    fn decoding_arbitrary_bytes_never_panics(frame in prop::collection::vec(any::<u8>(), 0..400)) {
        let read = Message::decode(frame.clone().into());
        let unverified = Message::decode_unverified(frame.into());
        prop_assert!(read.is_err() || read == unverified);
    }

    #[test]
    fn decoding_a_damaged_message_never_panics(
        message in messages(),
        damage in prop::collection::vec((0..400_usize, any::<u8>()), 1..8),
        length in 0..400_usize,
    ) {
        let mut frame = message.encode().to_vec();
        for (at, byte) in damage {
            if let Some(target) = frame.get_mut(at) {
                *target = byte;
            }
        }
        frame.truncate(length);
        let longest = frame.len();
        if let Ok(message) = Message::decode(frame.into()) {
            prop_assert!(message.payload.len() <= longest);
        }
    }

    #[test]
    fn what_was_encoded_decodes_to_the_same(message in messages()) {
        prop_assert_eq!(Message::decode(message.encode()), Ok(message));
    }

    #[test]
    fn a_session_takes_arbitrary_bytes_without_a_panic(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
    ) {
        let mut client = Client::ready();
        for frame in frames {
            prop_assert!(client.receive(frame.into()).is_ok());
        }
    }

    #[test]
    fn a_session_takes_any_body_of_a_sound_message_without_a_panic(
        message in messages(),
        kind in 0..14_u32,
    ) {
        let mut client = Client::ready();
        let mut message = message;
        message.header.payload_type = kind.into();
        message.header.message_type = MessageType::OutputStreamData;
        message.header.sequence_number = SequenceNumber(client.next);
        let output = client.receive(message.encode());
        prop_assert_eq!(output.map(|output| output.acknowledged()), Ok(vec![client.next]));
    }
}

#[test]
fn test_messages_carry_the_test_date() {
    let message = message(MessageType::Acknowledge, 0, PayloadType::None, Bytes::new());
    assert_eq!(
        Message::decode(message.encode()).map(|message| message.header.created_date),
        Ok(UNIX_TIME)
    );
}
