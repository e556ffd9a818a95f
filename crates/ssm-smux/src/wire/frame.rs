//! The frame header:
//!
//! | offset | length | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | command |
//! | 2 | 2 | length of the data, little-endian; 0 unless the command is PSH |
//! | 4 | 4 | stream id, little-endian |
//!
//! (`aws/amazon-ssm-agent` `vendor/github.com/xtaci/smux/frame.go` @1c217c89)

use crate::error::SmuxError;
use crate::stream_id::StreamId;

/// Most data one frame can carry, in bytes: its length field has 16 bits.
pub const MAX_DATA: usize = 65535;

pub(crate) const HEADER: usize = 8;
const VERSION: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    Syn(StreamId),
    Fin(StreamId),
    Psh { stream: StreamId, length: u16 },
    Nop,
}

impl Frame {
    pub(crate) fn encode(self) -> [u8; HEADER] {
        let (command, length, stream) = match self {
            Self::Syn(stream) => (0, 0, stream.number()),
            Self::Fin(stream) => (1, 0, stream.number()),
            Self::Psh { stream, length } => (2, length, stream.number()),
            Self::Nop => (3, 0, 0),
        };
        let [l0, l1] = length.to_le_bytes();
        let [s0, s1, s2, s3] = stream.to_le_bytes();
        [VERSION, command, l0, l1, s0, s1, s2, s3]
    }

    /// The length of SYN, FIN and NOP is not looked at: no data follows them, whatever it says
    /// (`session.go` reads none either).
    pub(crate) fn decode(header: [u8; HEADER]) -> Result<Self, SmuxError> {
        let [version, command, l0, l1, s0, s1, s2, s3] = header;
        if version != VERSION {
            return Err(SmuxError::Version { found: version });
        }
        let stream = StreamId::new(u32::from_le_bytes([s0, s1, s2, s3]));
        let length = u16::from_le_bytes([l0, l1]);
        match command {
            0 => Ok(Self::Syn(stream)),
            1 => Ok(Self::Fin(stream)),
            2 => Ok(Self::Psh { stream, length }),
            3 => Ok(Self::Nop),
            found => Err(SmuxError::Command { found }),
        }
    }
}
