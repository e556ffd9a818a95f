//! Why a session ends.

use std::time::Duration;

use thiserror::Error;

use crate::wire::DecodeError;

/// Why a session failed. Every variant is final and names the party that caused it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer sent [`SessionConfig::max_bad_messages`](crate::SessionConfig::max_bad_messages)
    /// unreadable messages in a row.
    #[error("the peer sent {count} unreadable messages in a row; the last one: {last}")]
    BadMessages {
        /// Number of consecutive unreadable messages.
        count: u32,
        /// Error of the last one.
        last: DecodeError,
    },
    /// The peer sent an unreadable handshake message.
    #[error("the peer's {message} cannot be read: {reason}")]
    Handshake {
        /// Name of the message.
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
    /// The client did not grant a requested action (reported on the agent's side only).
    ///
    /// Any status other than Success ends the session: `aws/amazon-ssm-agent`
    /// `agent/session/datachannel/datachannel.go` @01dfe74e.
    #[error("the client refused {action}: {reason}")]
    Refused {
        /// Type of the refused action.
        action: String,
        /// The client's text; may be empty.
        reason: String,
    },
    /// The handshake was not completed in time.
    #[error(
        "the agent did not complete the handshake within {after:?}: check that the SSM agent runs on the target and reaches ssmmessages"
    )]
    HandshakeTimeout {
        /// The limit, [`SessionConfig::handshake_timeout`](crate::SessionConfig::handshake_timeout).
        after: Duration,
    },
    /// The peer sent nothing, not even an acknowledgement, for too long while data was unacknowledged.
    #[error(
        "nothing was heard from the agent for {after:?} while data waited for it: check that the target and its SSM agent still run"
    )]
    PeerSilent {
        /// The limit, [`SessionConfig::peer_timeout`](crate::SessionConfig::peer_timeout).
        after: Duration,
    },
}
