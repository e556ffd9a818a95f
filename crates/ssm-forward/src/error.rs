//! Why a port forward, or a write to one of its streams, failed.

use ssm_protocol::SessionError;
use ssm_smux::SmuxError;
use thiserror::Error;

/// Why a port forward cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The data channel failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The agent's bytes are not smux.
    #[error("the agent's stream is not smux version 1: {0}")]
    Smux(#[from] SmuxError),
}

impl ForwardError {
    /// Whether the session turned out to be a shell or a command: the agent named such a session type,
    /// asked for the encryption that only those have, or sent output without a handshake, as it does for
    /// them.
    pub fn is_shell(&self) -> bool {
        matches!(
            self,
            Self::Session(
                SessionError::DataBeforeHandshake
                    | SessionError::SessionType(_)
                    | SessionError::EncryptionRequested
            )
        )
    }
}

/// Why [`PortForward::write`](crate::PortForward::write) took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StreamWriteError {
    /// More than [`PortForward::writable`](crate::PortForward::writable) allows.
    #[error("the stream's send buffer is full")]
    Full,
    /// The stream was finished or has ended.
    #[error("the stream is closed")]
    Closed,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shells_show_by_type_encryption_or_early_output() {
        for error in [
            SessionError::DataBeforeHandshake,
            SessionError::SessionType("Standard_Stream".to_owned()),
            SessionError::EncryptionRequested,
        ] {
            let text = error.to_string();
            assert!(ForwardError::Session(error).is_shell(), "{text}");
        }
        let after = Duration::from_secs(15);
        assert!(!ForwardError::Session(SessionError::HandshakeTimeout { after }).is_shell());
    }
}
