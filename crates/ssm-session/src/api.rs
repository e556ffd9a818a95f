//! The three Systems Manager calls that a session needs, as a trait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use ssm_protocol::payload::Token;

/// A boxed future, so that [`SessionApi`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An error that a failed call may have: any error that can be shared. An `Arc` makes one of any other.
pub trait CallError: std::error::Error + Clone + Send + Sync + 'static {}

impl<T: std::error::Error + Clone + Send + Sync + 'static> CallError for T {}

/// The three Systems Manager calls that a session needs.
///
/// This crate does not depend on an AWS SDK; `ssm-tunnel` implements the trait with `aws-sdk-ssm`.
///
/// ```
/// use std::sync::Arc;
///
/// use ssm_session::{ApiError, BoxFuture, SessionApi, SessionConnection, Token};
///
/// /// Always returns the same session, such as one that another program started.
/// struct StartedElsewhere(SessionConnection);
///
/// impl SessionApi for StartedElsewhere {
///     type Error = Arc<std::io::Error>;
///
///     fn start(&self) -> BoxFuture<'_, Result<SessionConnection, ApiError<Self::Error>>> {
///         Box::pin(async { Ok(self.0.clone()) })
///     }
///
///     fn resume<'a>(
///         &'a self,
///         _session_id: &'a str,
///     ) -> BoxFuture<'a, Result<Option<SessionConnection>, ApiError<Self::Error>>> {
///         Box::pin(async { Ok(None) })
///     }
///
///     fn terminate<'a>(
///         &'a self,
///         _session_id: &'a str,
///     ) -> BoxFuture<'a, Result<(), ApiError<Self::Error>>> {
///         Box::pin(async { Ok(()) })
///     }
///
///     fn can_start_more(&self) -> bool {
///         false
///     }
/// }
/// ```
pub trait SessionApi: Send + Sync + 'static {
    /// Why a call fails.
    type Error: CallError;

    /// StartSession. The implementation limits how long it takes.
    fn start(&self) -> BoxFuture<'_, Result<SessionConnection, ApiError<Self::Error>>>;

    /// ResumeSession: a new token for the same session, or `None` when the session is gone. An empty
    /// [`SessionConnection::stream_url`] means that the previous URL stays valid.
    fn resume<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionConnection>, ApiError<Self::Error>>>;

    /// TerminateSession. "Already terminated" counts as success.
    fn terminate<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError<Self::Error>>>;

    /// Same as [`terminate`](Self::terminate), called while the runtime that served the earlier calls
    /// shuts down, and their connections with it: use none of them.
    fn terminate_late<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError<Self::Error>>> {
        self.terminate(session_id)
    }

    /// Whether [`start`](Self::start) may be called more than once. Agents up to 3.0.196.0 and the
    /// SSH document carry one connection per session: where this is `false`, connections to them are
    /// served one after the other.
    fn can_start_more(&self) -> bool {
        true
    }
}

/// What StartSession and ResumeSession return: where to connect to a session, and with which token.
/// `Debug` does not show the token.
#[derive(Debug, Clone)]
pub struct SessionConnection {
    /// `SessionId`.
    pub session_id: String,
    /// `StreamUrl`.
    pub stream_url: String,
    /// `TokenValue`.
    pub token: Token,
}

/// Why a call failed, and whether another attempt may succeed. It displays as its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError<A> {
    cause: A,
    retryable: bool,
}

impl<A> ApiError<A> {
    /// A permanent failure: another attempt does not help.
    pub fn fatal(cause: impl Into<A>) -> Self {
        Self {
            cause: cause.into(),
            retryable: false,
        }
    }

    /// A failure that may pass: network, throttling, 5xx.
    pub fn retryable(cause: impl Into<A>) -> Self {
        Self {
            cause: cause.into(),
            retryable: true,
        }
    }

    /// Whether another attempt may succeed.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The cause.
    pub fn into_cause(self) -> A {
        self.cause
    }

    /// The cause, borrowed.
    pub fn cause(&self) -> &A {
        &self.cause
    }
}

impl<A: fmt::Display> fmt::Display for ApiError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl<A: std::error::Error> std::error::Error for ApiError<A> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}
