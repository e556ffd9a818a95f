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
