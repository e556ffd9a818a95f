//! Why a tunnel ended, and why a connection or a relay could not be opened.

use ssm_forward::ForwardError;
use ssm_session::CallError;
use thiserror::Error;

/// Why a session, and with it a tunnel, ended. `A` is the error of the Systems Manager calls.
pub type End<A> = ssm_session::End<ForwardError, A>;

/// Why a relay, or a connection through it, could not be opened.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError<A: CallError> {
    /// A limit is invalid.
    #[error("{0}")]
    InvalidLimits(String),
    /// The session is over.
    #[error("the tunnel has ended: {0}")]
    Ended(End<A>),
    /// StartSession failed.
    #[error(transparent)]
    Start(A),
    /// StartSession failed for a connection that needs a session of its own.
    #[error("no further session could be started for this connection: {0}")]
    StartFurther(A),
    /// The session carries as many streams as it can.
    #[error("the session cannot carry another stream")]
    TooManyStreams,
}
