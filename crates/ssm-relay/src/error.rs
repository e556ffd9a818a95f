use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use ssm_forward::ForwardError;
use ssm_protocol::SessionError;
use thiserror::Error;

use crate::api::ApiError;
use crate::net::error::ConnectError;

/// Why a session, and with it a tunnel, ended.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum End {
    /// This side closed it.
    #[error("closed")]
    Closed,
    /// The service closed it: an administrator, an idle time-out, or the agent.
    #[error("the service ended the session{}", because(.output))]
    ByService {
        /// The service's text; may be empty.
        output: String,
    },
    /// The session timed out or was terminated while the websocket was down.
    #[error(
        "the session is gone: it timed out or was terminated while disconnected; start a new one"
    )]
    SessionGone,
    /// The websocket was lost and could not be opened again in time.
    #[error("the connection was lost and could not be resumed within {within:?}: {last}")]
    ConnectionLost {
        /// The budget that was used up.
        within: Duration,
        /// What the last attempt said.
        last: String,
    },
    /// The websocket was lost, and the session's stream URL was presigned: its signature is for one
    /// connection, so there is no way back.
    #[error(
        "the connection was lost ({reason}), and a session with a presigned stream URL cannot be resumed; start a new one"
    )]
    NotResumable {
        /// Why it was lost.
        reason: String,
    },
    /// The websocket could not be opened.
    #[error(transparent)]
    Connect(Arc<ConnectError>),
    /// The peer broke the protocol, or a deadline of it passed.
    #[error(transparent)]
    Protocol(ForwardError),
    /// A Systems Manager call failed for good.
    #[error(transparent)]
    Api(Arc<ApiError>),
    /// The tasks that carried it are gone: their runtime was shut down, or one panicked.
    #[error("the tunnel's tasks were dropped with their runtime")]
    Aborted,
}

/// The kinds of [`End`], for events and exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndKind {
    /// [`End::Closed`].
    Closed,
    /// [`End::ByService`].
    ByService,
    /// [`End::SessionGone`].
    SessionGone,
    /// [`End::ConnectionLost`].
    ConnectionLost,
    /// [`End::NotResumable`].
    NotResumable,
    /// [`End::Connect`].
    Connect,
    /// [`End::Protocol`].
    Protocol,
    /// [`End::Api`].
    Api,
    /// [`End::Aborted`].
    Aborted,
}

impl End {
    /// Which one it is, without its details.
    pub fn kind(&self) -> EndKind {
        match self {
            Self::Closed => EndKind::Closed,
            Self::ByService { .. } => EndKind::ByService,
            Self::SessionGone => EndKind::SessionGone,
            Self::ConnectionLost { .. } => EndKind::ConnectionLost,
            Self::NotResumable { .. } => EndKind::NotResumable,
            Self::Connect(_) => EndKind::Connect,
            Self::Protocol(_) => EndKind::Protocol,
            Self::Api(_) => EndKind::Api,
            Self::Aborted => EndKind::Aborted,
        }
    }

    /// Whether the session turned out to be a shell or a command: the agent named such a type, asked
    /// for the encryption that only those have, or sent output without a handshake, as it does for
    /// them.
    pub fn is_shell(&self) -> bool {
        matches!(
            self,
            Self::Protocol(ForwardError::Session(
                SessionError::DataBeforeHandshake
                    | SessionError::SessionType(_)
                    | SessionError::EncryptionRequested
            ))
        )
    }

    /// Whether it ended in order: as asked, or by the service without a complaint.
    pub fn is_clean(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::ByService { output } => output.is_empty(),
            _ => false,
        }
    }
}

fn because(output: &str) -> String {
    if output.is_empty() {
        String::new()
    } else {
        format!(": {output}")
    }
}

/// Why a stream could not be opened.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The session is over.
    #[error("the tunnel has ended: {0}")]
    Ended(End),
    /// No further session could be started, which agents of this age need for each connection.
    #[error("no further session could be started for this connection: {0}")]
    Start(Arc<ApiError>),
    /// The session carries as many streams as it can.
    #[error("the session cannot carry another stream")]
    TooManyStreams,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_shows_by_its_type_its_encryption_or_its_early_output() {
        let protocol = |error| End::Protocol(ForwardError::Session(error));
        for error in [
            SessionError::DataBeforeHandshake,
            SessionError::SessionType("Standard_Stream".to_owned()),
            SessionError::EncryptionRequested,
        ] {
            let text = error.to_string();
            assert!(protocol(error).is_shell(), "{text}");
        }
        let after = Duration::from_secs(15);
        assert!(!protocol(SessionError::HandshakeTimeout { after }).is_shell());
        assert!(!End::SessionGone.is_shell());
    }
}
