//! Why a session ended.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use crate::net::error::ConnectError;

/// Why a session ended. `P` is the error of its state machine, `A` that of the Systems Manager calls.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum End<P, A> {
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
        /// The error of the last attempt.
        last: String,
    },
    /// The websocket was lost, and the session's stream URL was presigned: its signature is valid for one
    /// connection, so the session cannot be resumed.
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
    /// The peer violated the protocol, or missed one of its deadlines.
    #[error(transparent)]
    Protocol(P),
    /// A Systems Manager call failed permanently.
    #[error(transparent)]
    Api(A),
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

impl<P, A> End<P, A> {
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

    /// Whether it ended in order: by this side, or by the service without an error text.
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
