//! Messages of a peer made for speed: templates with a few patched fields.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ssm_protocol::payload::Acknowledge;
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType, SequenceNumber,
};

pub(crate) const TYPE: Range<usize> = 4..36;
pub(crate) const NUMBER: Range<usize> = 48..56;
pub(crate) const ID: Range<usize> = 64..80;
pub(crate) const DIGEST: Range<usize> = 80..112;

/// Data of one smux frame of the agent, as `io.Copy` fills it, less its header: a whole number of
/// messages.
const PSH: usize = 32 << 10;

fn header(message_type: MessageType, number: i64, payload_type: PayloadType) -> Header {
    Header {
        message_type,
        schema_version: 1,
        created_date: Duration::from_millis(1_795_000_000_123),
        sequence_number: SequenceNumber(number),
        flags: Flags::NONE,
        message_id: MessageId::default(),
        payload_type,
    }
}

/// Stream data of the agent.
pub(crate) fn output(number: i64, payload_type: PayloadType, payload: &[u8]) -> Bytes {
    Message {
        header: header(MessageType::OutputStreamData, number, payload_type),
        payload: Bytes::copy_from_slice(payload),
    }
    .encode()
}

/// Stream data of the client.
pub(crate) fn input(number: i64, frame: &mut BytesMut) {
    header(MessageType::InputStreamData, number, PayloadType::Output).seal(frame);
}

/// Appends the acknowledgement of `frame`'s number and id.
pub(crate) fn acknowledge(of: MessageType, frame: &[u8], to: &mut BytesMut) {
    let mut id = [0; 16];
    id.copy_from_slice(&frame[ID]);
    to.resize(PAYLOAD_OFFSET, 0);
    Acknowledge {
        message_type: of,
        message_id: MessageId(uuid::Uuid::from_u128(
            u128::from_be_bytes(id).rotate_left(64),
        )),
        sequence_number: SequenceNumber(number(frame)),
    }
    .write(to);
    let mut header = header(MessageType::Acknowledge, 0, PayloadType::None);
    header.flags = Flags::SYN | Flags::FIN;
    header.seal(to);
}

pub(crate) fn number(frame: &[u8]) -> i64 {
    let mut number = [0; 8];
    number.copy_from_slice(&frame[NUMBER]);
    i64::from_be_bytes(number)
}

/// The head of a websocket frame from the server: binary, final, not masked.
pub(crate) fn websocket_head(length: usize, to: &mut Vec<u8>) {
    to.push(0x82);
    match length {
        0..126 => to.push(length as u8),
        126..65536 => {
            to.push(126);
            to.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            to.push(127);
            to.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// One smux frame for stream 3 cut into messages, each a websocket frame, one after the other.
pub(crate) struct Burst {
    pub(crate) bytes: Vec<u8>,
    /// Offset of each message.
    messages: Vec<usize>,
    next: u64,
}

impl Burst {
    /// The first message gets the number `first`.
    pub(crate) fn new(payload: usize, first: u64) -> Self {
        assert_eq!(PSH % payload, 0, "a burst is a whole number of messages");
        let data = PSH - 8;
        let mut stream = vec![1, 2, data as u8, (data >> 8) as u8, 3, 0, 0, 0];
        stream.extend((0..data).map(|at| (at * 7) as u8));
        let mut bytes = Vec::new();
        let mut messages = Vec::new();
        for part in stream.chunks(payload) {
            let message = output(0, PayloadType::Output, part);
            websocket_head(message.len(), &mut bytes);
            messages.push(bytes.len());
            bytes.extend_from_slice(&message);
        }
        Self {
            bytes,
            messages,
            next: first,
        }
    }

    pub(crate) fn messages(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Gives every message its next number and id.
    pub(crate) fn renumber(&mut self) {
        for at in &self.messages {
            let message = &mut self.bytes[*at..];
            message[NUMBER].copy_from_slice(&self.next.to_be_bytes());
            message[ID][..8].copy_from_slice(&self.next.to_be_bytes());
            self.next += 1;
        }
    }

    /// Bytes of stream data in this many messages.
    pub(crate) fn data(&self, messages: u64) -> u64 {
        assert_eq!(messages % self.messages(), 0, "whole bursts");
        messages / self.messages() * (PSH as u64 - 8)
    }
}
