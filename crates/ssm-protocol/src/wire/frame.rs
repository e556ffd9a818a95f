//! One message of the data channel: its header, and reading and writing it.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::digest;
use super::error::DecodeError;
use super::types::{Flags, MessageId, MessageType, PayloadType, SequenceNumber};

/// Value of the HeaderLength field: the offset of PayloadLength.
pub const HEADER_LENGTH: usize = 116;

/// Offset of the payload in the messages that this crate writes.
pub const PAYLOAD_OFFSET: usize = HEADER_LENGTH + 4;

const MESSAGE_TYPE: Range<usize> = 4..36;
const SCHEMA_VERSION: usize = 36;
const CREATED_DATE: usize = 40;
const SEQUENCE_NUMBER: usize = 48;
const FLAGS: usize = 56;
const MESSAGE_ID: usize = 64;
const PAYLOAD_DIGEST: usize = 80;
const PAYLOAD_TYPE: usize = 112;

/// The header of a message, without the fields that are computed from the payload (digest and length).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Type of the message: at most 32 ASCII bytes.
    pub message_type: MessageType,
    /// 1 in every known message.
    pub schema_version: u32,
    /// Creation time since the Unix epoch, in whole milliseconds on the wire.
    pub created_date: Duration,
    /// Position within its direction; 0 for messages that are not sequenced.
    pub sequence_number: SequenceNumber,
    /// SYN and FIN bits.
    pub flags: Flags,
    /// The message's UUID.
    pub message_id: MessageId,
    /// Type of the payload.
    pub payload_type: PayloadType,
}

impl Header {
    /// Completes a frame in place: overwrites its first [`PAYLOAD_OFFSET`] bytes with the header of the
    /// payload behind them.
    ///
    /// A shorter frame is first extended to that length and has an empty payload.
    pub fn seal(&self, frame: &mut BytesMut) {
        if frame.len() < PAYLOAD_OFFSET {
            frame.resize(PAYLOAD_OFFSET, 0);
        }
        let (mut header, payload) = frame.split_at_mut(PAYLOAD_OFFSET);
        let digest = digest::of(payload);
        let mut name = [b' '; 32];
        for (to, from) in name.iter_mut().zip(self.message_type.as_str().bytes()) {
            *to = from;
        }
        header.put_u32(HEADER_LENGTH as u32);
        header.put_slice(&name);
        header.put_u32(self.schema_version);
        header.put_u64(u64::try_from(self.created_date.as_millis()).unwrap_or(u64::MAX));
        header.put_i64(self.sequence_number.0);
        header.put_u64(self.flags.0);
        header.put_slice(&self.message_id.to_field());
        header.put_slice(&digest);
        header.put_u32(self.payload_type.into());
        header.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    }
}

/// One message of the data channel. `Debug` shows the payload's length, not its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The payload.
    pub payload: Bytes,
}

impl Message {
    /// Reads one message. With a header of the usual length, the payload shares the frame's memory.
    ///
    /// `start_publication` and `pause_publication` are recognised by their MessageType alone; missing
    /// fields read as zero.
    ///
    /// # Errors
    /// [`DecodeError`], which names the invalid field. Nothing is allocated from an unchecked length.
    pub fn decode(frame: Bytes) -> Result<Self, DecodeError> {
        Self::read(frame, Checks::All)
    }

    /// Like [`decode`](Self::decode), without comparing the digest, which the agent does not verify.
    ///
    /// # Errors
    /// [`DecodeError`], except for [`DecodeError::PayloadDigest`].
    pub fn decode_unverified(frame: Bytes) -> Result<Self, DecodeError> {
        Self::read(frame, Checks::AllButDigest)
    }

    fn read(frame: Bytes, checks: Checks) -> Result<Self, DecodeError> {
        let too_short = |expected| DecodeError::TooShort {
            expected,
            found: frame.len(),
        };
        let message_type = frame
            .get(MESSAGE_TYPE)
            .ok_or_else(|| too_short(PAYLOAD_OFFSET))?;
        let message_type = MessageType::from_field(message_type).ok_or(DecodeError::MessageType)?;
        let exempt = message_type.is_publication();
        if frame.len() < PAYLOAD_OFFSET && !exempt {
            return Err(too_short(PAYLOAD_OFFSET));
        }
        let header = Header {
            message_type,
            schema_version: u32::from_be_bytes(field(&frame, SCHEMA_VERSION)),
            created_date: Duration::from_millis(u64::from_be_bytes(field(&frame, CREATED_DATE))),
            sequence_number: SequenceNumber(i64::from_be_bytes(field(&frame, SEQUENCE_NUMBER))),
            flags: Flags(u64::from_be_bytes(field(&frame, FLAGS))),
            message_id: MessageId::from_field(field(&frame, MESSAGE_ID)),
            payload_type: u32::from_be_bytes(field(&frame, PAYLOAD_TYPE)).into(),
        };
        if exempt {
            let payload = frame.slice(PAYLOAD_OFFSET.min(frame.len())..);
            return Ok(Self { header, payload });
        }

        let header_length = u32::from_be_bytes(field(&frame, 0));
        let payload_offset = usize::try_from(header_length)
            .ok()
            .filter(|length| *length >= HEADER_LENGTH)
            .and_then(|length| length.checked_add(4))
            .filter(|offset| *offset <= frame.len())
            .ok_or(DecodeError::HeaderLength {
                found: header_length,
                frame: frame.len(),
            })?;
        if header.created_date.is_zero() {
            return Err(DecodeError::CreatedDate);
        }
        let declared = u32::from_be_bytes(field(&frame, payload_offset - 4));
        let mut payload = frame.slice(payload_offset..);
        if usize::try_from(declared) != Ok(payload.len()) {
            return Err(DecodeError::PayloadLength {
                declared,
                found: payload.len(),
            });
        }
        let digest: [u8; 32] = field(&frame, PAYLOAD_DIGEST);
        if checks == Checks::All && !payload.is_empty() && digest::of(&payload) != digest {
            return Err(DecodeError::PayloadDigest);
        }
        if payload_offset > PAYLOAD_OFFSET {
            // A small payload must not keep an oversized header alive.
            payload = Bytes::copy_from_slice(&payload);
        }
        Ok(Self { header, payload })
    }

    /// The message as one binary websocket frame.
    pub fn encode(&self) -> Bytes {
        let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + self.payload.len());
        frame.resize(PAYLOAD_OFFSET, 0);
        frame.extend_from_slice(&self.payload);
        self.header.seal(&mut frame);
        frame.freeze()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("header", &self.header)
            .field("payload_length", &self.payload.len())
            .finish()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Checks {
    All,
    AllButDigest,
}

/// `N` bytes at `offset`, or zeros where the frame is too short for them.
fn field<const N: usize>(frame: &[u8], offset: usize) -> [u8; N] {
    frame
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .unwrap_or([0; N])
}
