//! Messages of the gateway itself, and what is read of others.

use bytes::Bytes;
use ssm_protocol::wire::{Message, MessageType, PayloadType};

use crate::tests::control;

/// The number of a message of stream data.
pub(super) fn sequence_number(message: &Bytes) -> Option<i64> {
    let header = Message::decode_unverified(message.clone()).ok()?.header;
    let data = header.message_type == MessageType::InputStreamData;
    data.then_some(header.sequence_number.0)
}

/// Whether the client inquires which messages the agent has processed.
pub(super) fn is_question(message: &Bytes) -> bool {
    Message::decode_unverified(message.clone())
        .is_ok_and(|message| message.header.payload_type == PayloadType::Size)
}

pub(super) fn publication(message_type: MessageType) -> Bytes {
    control(message_type, Bytes::from_static(b"{}"))
}

pub(super) fn channel_closed(output: &str) -> Bytes {
    let body = format!(r#"{{"Output":"{output}"}}"#);
    control(MessageType::ChannelClosed, body.into())
}
