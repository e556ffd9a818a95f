//! The message on the wire: what AWS's sources call "ClientMessage" and "AgentMessage".
//!
//! One binary websocket frame holds one message. All integers are big-endian.
//!
//! | offset | length | field | value |
//! |---|---|---|---|
//! | 0 | 4 | HeaderLength | 116, the offset of PayloadLength |
//! | 4 | 32 | MessageType | ASCII, padded with spaces (or NULs) |
//! | 36 | 4 | SchemaVersion | 1 |
//! | 40 | 8 | CreatedDate | milliseconds since the Unix epoch |
//! | 48 | 8 | SequenceNumber | signed |
//! | 56 | 8 | Flags | bit 0 SYN, bit 1 FIN |
//! | 64 | 16 | MessageId | UUID, its halves swapped |
//! | 80 | 32 | PayloadDigest | SHA-256 of the payload |
//! | 112 | 4 | PayloadType | see [`PayloadType`] |
//! | 116 | 4 | PayloadLength | |
//! | 120 | n | Payload | |
//!
//! Source of the layout: `aws/session-manager-plugin` `src/message/messageparser.go` @61cf1288 and
//! `aws/amazon-ssm-agent` `agent/session/contracts/agent_message.go` @1c217c89.

mod digest;
mod error;
mod frame;
mod types;

pub use error::DecodeError;
pub use frame::{HEADER_LENGTH, Header, Message, PAYLOAD_OFFSET};
pub use types::{Flags, MessageId, MessageType, PayloadType, SequenceNumber};
