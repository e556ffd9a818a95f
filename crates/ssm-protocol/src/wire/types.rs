//! The types of the header fields.

use std::fmt;
use std::ops::BitOr;

use uuid::Uuid;

/// Type of a message (header field MessageType).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MessageType {
    /// `input_stream_data`: client to agent, sequenced and acknowledged.
    InputStreamData,
    /// `output_stream_data`: agent to client, sequenced and acknowledged.
    OutputStreamData,
    /// `acknowledge`: not sequenced, never acknowledged itself.
    Acknowledge,
    /// `channel_closed`: the service ended the session.
    ChannelClosed,
    /// `start_publication`: the other side's channel became active.
    StartPublication,
    /// `pause_publication`: the other side's channel became inactive.
    PausePublication,
    /// `agent_session_state`: informational, ignored by clients.
    AgentSessionState,
    /// Any other type, to be ignored.
    Other(String),
}

const INPUT_STREAM_DATA: &[u8; 32] = b"input_stream_data               ";
const OUTPUT_STREAM_DATA: &[u8; 32] = b"output_stream_data              ";
const ACKNOWLEDGE: &[u8; 32] = b"acknowledge                     ";

impl MessageType {
    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::InputStreamData => "input_stream_data",
            Self::OutputStreamData => "output_stream_data",
            Self::Acknowledge => "acknowledge",
            Self::ChannelClosed => "channel_closed",
            Self::StartPublication => "start_publication",
            Self::PausePublication => "pause_publication",
            Self::AgentSessionState => "agent_session_state",
            Self::Other(name) => name,
        }
    }

    /// Reads the padded field; `None` when it is empty or not printable ASCII.
    pub(super) fn from_field(field: &[u8]) -> Option<Self> {
        // Nearly every message has one of these, padded in this way.
        if field == INPUT_STREAM_DATA {
            return Some(Self::InputStreamData);
        } else if field == OUTPUT_STREAM_DATA {
            return Some(Self::OutputStreamData);
        } else if field == ACKNOWLEDGE {
            return Some(Self::Acknowledge);
        }
        let name = std::str::from_utf8(field).ok()?;
        // MGS pads `channel_closed` with NULs, the other senders with spaces.
        let name = name.trim_matches([' ', '\0']);
        if name.is_empty() || !name.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return None;
        }
        Some(match name {
            "input_stream_data" => Self::InputStreamData,
            "output_stream_data" => Self::OutputStreamData,
            "acknowledge" => Self::Acknowledge,
            "channel_closed" => Self::ChannelClosed,
            "start_publication" => Self::StartPublication,
            "pause_publication" => Self::PausePublication,
            "agent_session_state" => Self::AgentSessionState,
            other => Self::Other(other.to_owned()),
        })
    }

    /// Whether it is recognised by its type alone, as the reference peers do: `start_publication` and
    /// `pause_publication`.
    pub(super) fn is_publication(&self) -> bool {
        matches!(self, Self::StartPublication | Self::PausePublication)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Type of the payload of a stream-data message (header field PayloadType).
///
/// Source: `aws/session-manager-plugin` `src/message/clientmessage.go` @61cf1288.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadType {
    /// 0: messages that carry no stream data.
    None,
    /// 1: bytes of the forwarded port.
    Output,
    /// 2: passed on uninterpreted.
    Error,
    /// 3: terminal size; ignored in port sessions.
    Size,
    /// 4: passed on uninterpreted.
    Parameter,
    /// 5: [`HandshakeRequest`](crate::payload::HandshakeRequest).
    HandshakeRequest,
    /// 6: [`HandshakeResponse`](crate::payload::HandshakeResponse).
    HandshakeResponse,
    /// 7: [`HandshakeComplete`](crate::payload::HandshakeComplete).
    HandshakeComplete,
    /// 8: the agent tests the encryption; encrypted sessions only.
    EncChallengeRequest,
    /// 9: the answer to that test.
    EncChallengeResponse,
    /// 10: see [`crate::payload::Flag`].
    Flag,
    /// 11: standard error of a command.
    StdErr,
    /// 12: exit code of a command.
    ExitCode,
    /// A value unknown to this crate.
    Other(u32),
}

impl From<u32> for PayloadType {
    fn from(value: u32) -> Self {
        match value {
            0 => Self::None,
            1 => Self::Output,
            2 => Self::Error,
            3 => Self::Size,
            4 => Self::Parameter,
            5 => Self::HandshakeRequest,
            6 => Self::HandshakeResponse,
            7 => Self::HandshakeComplete,
            8 => Self::EncChallengeRequest,
            9 => Self::EncChallengeResponse,
            10 => Self::Flag,
            11 => Self::StdErr,
            12 => Self::ExitCode,
            other => Self::Other(other),
        }
    }
}

impl From<PayloadType> for u32 {
    fn from(value: PayloadType) -> Self {
        match value {
            PayloadType::None => 0,
            PayloadType::Output => 1,
            PayloadType::Error => 2,
            PayloadType::Size => 3,
            PayloadType::Parameter => 4,
            PayloadType::HandshakeRequest => 5,
            PayloadType::HandshakeResponse => 6,
            PayloadType::HandshakeComplete => 7,
            PayloadType::EncChallengeRequest => 8,
            PayloadType::EncChallengeResponse => 9,
            PayloadType::Flag => 10,
            PayloadType::StdErr => 11,
            PayloadType::ExitCode => 12,
            PayloadType::Other(other) => other,
        }
    }
}

/// Header field Flags: a bit set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u64);

impl Flags {
    /// No bit set.
    pub const NONE: Self = Self(0);
    /// Bit 0: first message of a direction (the agent sets it on its sequence number 0).
    pub const SYN: Self = Self(1);
    /// Bit 1: last message.
    pub const FIN: Self = Self(2);
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Number of a stream-data message within its direction, counted from 0 for the whole life of a session.
///
/// Signed on the wire; a negative number is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SequenceNumber(pub i64);

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Id of one message: a UUID, whose halves are swapped on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MessageId(pub Uuid);

impl MessageId {
    /// Reads bytes 8..16 of the UUID first, then bytes 0..8.
    pub(super) fn from_field(field: [u8; 16]) -> Self {
        Self(Uuid::from_u128(u128::from_be_bytes(field).rotate_left(64)))
    }

    pub(super) fn to_field(self) -> [u8; 16] {
        self.0.as_u128().rotate_left(64).to_be_bytes()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_names_decode_as_their_unpadded_form() {
        for (field, name) in [
            (INPUT_STREAM_DATA, "input_stream_data"),
            (OUTPUT_STREAM_DATA, "output_stream_data"),
            (ACKNOWLEDGE, "acknowledge"),
        ] {
            assert_eq!(field.trim_ascii_end(), name.as_bytes());
            let with_spaces = MessageType::from_field(field).expect("a type");
            let with_nuls = field.map(|byte| if byte == b' ' { 0 } else { byte });
            assert_eq!(
                Some(&with_spaces),
                MessageType::from_field(&with_nuls).as_ref()
            );
            assert_eq!(with_spaces.as_str(), name);
        }
    }
}
