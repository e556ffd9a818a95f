//! TerminateSession, also when the session's task or its runtime is gone.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::api::{ApiError, BoxFuture, CallError, SessionApi};

/// A late call may take this many times as long as usual.
const LATE: u32 = 3;

/// Terminates a session that its own task could not: the caller gave up before there was one, or the
/// task was dropped with its runtime.
pub(super) struct TerminateGuard<A: CallError> {
    armed: Option<Armed<A>>,
}

struct Armed<A> {
    api: Arc<dyn SessionApi<Error = A>>,
    session_id: String,
    timeout: Duration,
}

impl<A: CallError> TerminateGuard<A> {
    pub(super) fn new(
        api: Arc<dyn SessionApi<Error = A>>,
        session_id: String,
        timeout: Duration,
    ) -> Self {
        Self {
            armed: Some(Armed {
                api,
                session_id,
                timeout,
            }),
        }
    }

    /// The session is over already.
    pub(super) fn disarm(mut self) {
        self.armed = None;
    }

    /// Terminates it now.
    pub(super) async fn terminate(mut self) {
        if let Some(armed) = &self.armed {
            armed
                .await_call(armed.api.terminate(&armed.session_id))
                .await;
        }
        self.armed = None;
    }
}

impl<A: CallError> Armed<A> {
    async fn await_call(&self, call: BoxFuture<'_, Result<(), ApiError<A>>>) {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(())) => tracing::info!(session = %self.session_id, "session terminated"),
            Ok(Err(error)) => {
                tracing::warn!(session = %self.session_id, %error, "TerminateSession failed");
            }
            Err(_) => tracing::warn!(session = %self.session_id, "TerminateSession timed out"),
        }
    }
}

/// The guard may be dropped by a task, which must not block its runtime: where there is a runtime, the
/// call is a task of its own.
impl<A: CallError> Drop for TerminateGuard<A> {
    fn drop(&mut self) {
        let Some(armed) = self.armed.take() else {
            return;
        };
        let late = LateCall(Some(armed));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(late.run());
        }
    }
}

/// TerminateSession after the session's task is gone. If it is dropped before it was answered, it is
/// made again by a thread.
struct LateCall<A: CallError>(Option<Armed<A>>);

impl<A: CallError> LateCall<A> {
    async fn run(mut self) {
        if let Some(armed) = &self.0 {
            armed
                .await_call(armed.api.terminate(&armed.session_id))
                .await;
        }
        self.0 = None;
    }
}

impl<A: CallError> Drop for LateCall<A> {
    fn drop(&mut self) {
        let Some(armed) = self.0.take() else {
            return;
        };
        // The runtime that drove the session is shutting down, so this takes one of its own, and
        // connections of its own, which take time to be opened.
        let armed = Armed {
            timeout: armed.timeout.saturating_mul(LATE),
            ..armed
        };
        let worker = thread::Builder::new()
            .name("ssm-terminate".to_owned())
            .spawn(move || {
                match tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                {
                    Ok(runtime) => {
                        runtime.block_on(
                            armed.await_call(armed.api.terminate_late(&armed.session_id)),
                        );
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no runtime to terminate the session with")
                    }
                }
            });
        if let Ok(worker) = worker {
            let _ = worker.join();
        }
    }
}
