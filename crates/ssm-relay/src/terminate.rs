use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::api::{ApiError, BoxFuture, SessionApi};

/// How much longer than usual a late call may take.
const LATE: u32 = 3;

/// Terminates a session that its driver task could not: the caller gave up before there was one, or
/// the task was dropped with its runtime.
#[derive(Debug)]
pub(crate) struct TerminateGuard {
    armed: Option<Armed>,
}

struct Armed {
    api: Arc<dyn SessionApi>,
    session_id: String,
    timeout: Duration,
}

impl std::fmt::Debug for Armed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Armed")
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}

impl TerminateGuard {
    pub(crate) fn new(api: Arc<dyn SessionApi>, session_id: String, timeout: Duration) -> Self {
        Self {
            armed: Some(Armed {
                api,
                session_id,
                timeout,
            }),
        }
    }

    /// The session is over already.
    pub(crate) fn disarm(mut self) {
        self.armed = None;
    }

    /// Terminates it now.
    pub(crate) async fn terminate(mut self) {
        if let Some(armed) = &self.armed {
            armed
                .await_call(armed.api.terminate(&armed.session_id))
                .await;
        }
        self.armed = None;
    }
}

impl Armed {
    async fn await_call(&self, call: BoxFuture<'_, Result<(), ApiError>>) {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(())) => tracing::info!(session = %self.session_id, "session terminated"),
            Ok(Err(error)) => {
                tracing::warn!(session = %self.session_id, %error, "TerminateSession failed");
            }
            Err(_) => tracing::warn!(session = %self.session_id, "TerminateSession timed out"),
        }
    }
}

/// Whoever drops the guard may be a task of the runtime, which must not block it: where there is a
/// runtime, the call is a task of its own.
impl Drop for TerminateGuard {
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

/// TerminateSession after the driver is gone. Dropped before it was answered, it is made all the same.
struct LateCall(Option<Armed>);

impl LateCall {
    async fn run(mut self) {
        if let Some(armed) = &self.0 {
            armed
                .await_call(armed.api.terminate(&armed.session_id))
                .await;
        }
        self.0 = None;
    }
}

impl Drop for LateCall {
    fn drop(&mut self) {
        let Some(armed) = self.0.take() else {
            return;
        };
        // The runtime that drove the session is going down, so this takes one of its own, and
        // connections of its own, which take their time to be opened.
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
