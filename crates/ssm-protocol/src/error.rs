use std::time::Duration;

use thiserror::Error;

use crate::wire::DecodeError;

/// Why a session cannot go on. Each variant is final and says who caused it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer sent nothing but messages that cannot be read.
    #[error("the peer sent {count} unreadable messages in a row; the last one: {last}")]
    BadMessages {
        /// How many.
        count: u32,
        /// What was wrong with the last.
        last: DecodeError,
    },
    /// The peer sent a handshake message that cannot be read.
    #[error("the peer's {message} cannot be read: {reason}")]
    Handshake {
        /// Which message.
        message: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The agent sent stream data before it completed the handshake.
    #[error("the agent sent data before the handshake was complete")]
    DataBeforeHandshake,
    /// The session document's type is not `Port`.
    #[error("the session's type is {0}, not Port: use a port-forwarding session document")]
    SessionType(String),
    /// The agent asks for KMS encryption, which port sessions do not have.
    #[error(
        "the agent asks for KMS encryption, which port forwarding does not support: use a session document without it"
    )]
    EncryptionRequested,
    /// The client refused what the agent asked for (the agent's side only).
    ///
    /// Any status but Success ends the session: `aws/amazon-ssm-agent`
    /// `agent/session/datachannel/datachannel.go` @01dfe74e.
    #[error("the client refused {action}: {reason}")]
    Refused {
        /// Type of the refused action.
        action: String,
        /// The client's text, may be empty.
        reason: String,
    },
    /// The handshake did not end in time.
    #[error(
        "the agent did not complete the handshake within {after:?}: check that the SSM agent runs on the target and reaches ssmmessages"
    )]
    HandshakeTimeout {
        /// The limit that passed.
        after: Duration,
    },
    /// The peer acknowledged nothing and sent nothing for too long.
    #[error(
        "nothing was heard from the agent for {after:?} while data waited for it: check that the target and its SSM agent still run"
    )]
    PeerSilent {
        /// The limit that passed.
        after: Duration,
    },
}
