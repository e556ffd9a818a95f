//! StartSession, and running what it started.

use std::fmt;

use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::context::{SessionContext, SessionEvent, SessionTask};
use super::handle::SessionHandle;
use super::session_driver;
use super::state::SessionState;
use super::terminate::TerminateGuard;
use crate::api::{ApiError, CallError, SessionConnection};
use crate::data_channel::DataChannel;

/// Why no session was started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError<A> {
    /// StartSession failed.
    #[error(transparent)]
    Api(ApiError<A>),
    /// The task that made the call is gone: its runtime was shut down, or it panicked.
    #[error("StartSession was given up: its task was dropped with its runtime")]
    Aborted,
}

/// A session that StartSession created. Dropping it terminates it.
pub struct StartedSession<A: CallError> {
    context: SessionContext<A>,
    connection: SessionConnection,
    guard: TerminateGuard<A>,
}

impl<A: CallError> SessionContext<A> {
    /// Calls StartSession in a task of its own: a session that is started although the caller gave up
    /// waiting is terminated.
    ///
    /// # Errors
    /// When the call failed.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn start(&self) -> Result<StartedSession<A>, StartError<A>> {
        let context = self.clone();
        let call = tokio::spawn(async move {
            let connection = context.api.start().await?;
            let guard = TerminateGuard::new(
                context.api.clone(),
                connection.session_id.clone(),
                context.timeouts.close,
            );
            Ok(StartedSession {
                context,
                connection,
                guard,
            })
        });
        match call.await {
            Ok(started) => started.map_err(StartError::Api),
            Err(_) => Err(StartError::Aborted),
        }
    }
}

impl<A: CallError> StartedSession<A> {
    /// Its id.
    pub fn session_id(&self) -> &str {
        &self.connection.session_id
    }

    /// Runs it in a task of its own until it ends, or until `closing` is cancelled and what is queued is
    /// delivered. What happens is reported to `observer`.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub fn run<C: DataChannel>(
        self,
        channel: C,
        closing: CancellationToken,
        observer: impl Fn(SessionEvent<C::Event>) + Send + Sync + 'static,
    ) -> SessionHandle<C, A> {
        let id = self.connection.session_id.clone();
        let state = SessionState::new(channel, self.context.clock.clone(), closing);
        let task = SessionTask {
            id: id.clone(),
            context: self.context,
            state: state.clone(),
            observer: Box::new(observer),
        };
        let span = tracing::info_span!("session", id = %id);
        tokio::spawn(session_driver::run(task, self.connection, self.guard).instrument(span));
        SessionHandle::new(id, state)
    }
}

impl<A: CallError> fmt::Debug for StartedSession<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartedSession")
            .field("session_id", &self.session_id())
            .finish_non_exhaustive()
    }
}
