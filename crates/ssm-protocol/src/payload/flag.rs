//! Flags.

/// Body of a message with payload type Flag: four bytes, big-endian.
///
/// Source: `aws/session-manager-plugin` `src/message/clientmessage.go` @61cf1288.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flag {
    /// 1: the client's local connection ended (basic mode).
    DisconnectToPort,
    /// 2: the client ends the session.
    TerminateSession,
    /// 3: the agent could not connect to the destination. It names no stream.
    ConnectToPortError,
    /// A value this crate does not know.
    Other(u32),
}

impl Flag {
    /// Reads the payload; `None` unless it is exactly four bytes.
    pub fn read(payload: &[u8]) -> Option<Self> {
        Some(match u32::from_be_bytes(payload.try_into().ok()?) {
            1 => Self::DisconnectToPort,
            2 => Self::TerminateSession,
            3 => Self::ConnectToPortError,
            other => Self::Other(other),
        })
    }

    /// The payload.
    pub fn to_bytes(self) -> [u8; 4] {
        match self {
            Self::DisconnectToPort => 1,
            Self::TerminateSession => 2,
            Self::ConnectToPortError => 3,
            Self::Other(other) => other,
        }
        .to_be_bytes()
    }
}
