use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use ssm_protocol::payload::Token;

/// A boxed future, so that [`SessionApi`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The three Systems Manager calls that a relay needs.
///
/// The relay itself knows no AWS SDK; `ssm-tunnel` implements this over `aws-sdk-ssm`.
pub trait SessionApi: Send + Sync + 'static {
    /// StartSession.
    fn start(&self) -> BoxFuture<'_, Result<Ticket, ApiError>>;

    /// ResumeSession: a new token for the same session, or `None` when the session is gone. An empty
    /// [`Ticket::stream_url`] stands for the one before.
    fn resume<'a>(&'a self, session_id: &'a str)
    -> BoxFuture<'a, Result<Option<Ticket>, ApiError>>;

    /// TerminateSession. "Already terminated" counts as success.
    fn terminate<'a>(&'a self, session_id: &'a str) -> BoxFuture<'a, Result<(), ApiError>>;

    /// As [`terminate`](Self::terminate), when the runtime that served the calls before is going
    /// down, and its connections with it: use none of them.
    fn terminate_late<'a>(&'a self, session_id: &'a str) -> BoxFuture<'a, Result<(), ApiError>> {
        self.terminate(session_id)
    }

    /// Whether [`start`](Self::start) may be called more than once. Agents up to 3.0.196.0 and the
    /// SSH document carry one connection a session: where this is `false`, connections to them are
    /// served one after the other.
    fn starts_more(&self) -> bool {
        true
    }
}

/// What StartSession and ResumeSession return. `Debug` does not show the token.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// `SessionId`.
    pub session_id: String,
    /// `StreamUrl`.
    pub stream_url: String,
    /// `TokenValue`.
    pub token: Token,
}

/// Why a call failed. It shows its cause's text.
#[derive(Debug)]
pub struct ApiError {
    cause: Box<dyn Error + Send + Sync>,
    retryable: bool,
}

impl ApiError {
    /// A failure that stays: trying again does not help.
    pub fn fatal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: cause.into(),
            retryable: false,
        }
    }

    /// A failure that may pass: network, throttling, 5xx.
    pub fn retryable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            cause: cause.into(),
            retryable: true,
        }
    }

    /// Whether trying again may help.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The cause itself, to be downcast by who implemented [`SessionApi`].
    pub fn into_cause(self) -> Box<dyn Error + Send + Sync> {
        self.cause
    }

    /// The cause itself, borrowed.
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.cause
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}
