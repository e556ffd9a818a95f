//! Messages that the gateway makes itself.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::json;
use ssm_protocol::payload::ChannelClosed;
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};
use uuid::Uuid;

use crate::clock::iso8601;

pub(super) fn publication(start: bool, session_id: &str, id: Uuid, unix: Duration) -> Bytes {
    let kind = if start {
        MessageType::StartPublication
    } else {
        MessageType::PausePublication
    };
    message(
        kind,
        json!({ "SessionId": session_id }).to_string(),
        id,
        unix,
    )
}

pub(super) fn channel_closed(session_id: &str, output: &str, id: Uuid, unix: Duration) -> Bytes {
    let body = ChannelClosed {
        message_id: id.to_string(),
        created_date: iso8601(unix),
        destination_id: session_id.to_owned(),
        session_id: session_id.to_owned(),
        message_type: "channel_closed".to_owned(),
        schema_version: 1,
        output: output.to_owned(),
    };
    let body = serde_json::to_string(&body).unwrap_or_default();
    let mut frame = BytesMut::from(&message(MessageType::ChannelClosed, body, id, unix)[..]);
    // The service pads this type with NULs.
    for byte in frame
        .iter_mut()
        .skip(4)
        .take(32)
        .filter(|byte| **byte == b' ')
    {
        *byte = 0;
    }
    frame.freeze()
}

fn message(message_type: MessageType, body: String, id: Uuid, unix: Duration) -> Bytes {
    let header = Header {
        message_type,
        schema_version: 1,
        created_date: unix,
        sequence_number: SequenceNumber(0),
        flags: Flags::NONE,
        message_id: MessageId(id),
        payload_type: PayloadType::None,
    };
    Message {
        header,
        payload: body.into(),
    }
    .encode()
}
