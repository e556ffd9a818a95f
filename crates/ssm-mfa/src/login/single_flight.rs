//! One login at a time, however many wait for it.

use std::sync::Arc;

use tokio::sync::watch;

use super::run::Inner;
use crate::error::MfaError;
use crate::session::Session;
use crate::settings::LoginRequest;

type Outcome = Option<Result<Session, MfaError>>;

/// A login under way.
#[derive(Clone)]
pub(crate) struct Flight {
    request: LoginRequest,
    outcome: watch::Receiver<Outcome>,
}

impl Flight {
    /// The login under way, or a new one. It is a task of its own: callers may come and go.
    pub(crate) async fn fly(
        inner: &Arc<Inner>,
        request: LoginRequest,
    ) -> Result<Session, MfaError> {
        loop {
            let mut flight = Self::join(inner, request);
            let landed = flight.outcome.wait_for(Option::is_some).await;
            let outcome = match landed.as_deref() {
                Ok(Some(outcome)) => outcome.clone(),
                _ => Err(MfaError::Interrupted),
            };
            drop(landed);
            // One that may not ask, for example, does not serve somebody who may.
            if flight.request.serves(request) {
                return outcome;
            }
            if let (Ok(session), false) = (outcome, request.force_new) {
                return Ok(session);
            }
        }
    }

    fn join(inner: &Arc<Inner>, request: LoginRequest) -> Self {
        let mut state = inner.lock();
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let (sender, outcome) = watch::channel(None);
        let flight = Self { request, outcome };
        state.flight = Some(flight.clone());
        drop(state);
        let landing = Landing {
            inner: inner.clone(),
            sender,
        };
        tokio::spawn(async move {
            let outcome = match ssm_aws::caught(landing.inner.obtain(request)).await {
                Ok(outcome) => outcome,
                Err(panicked) => Err(MfaError::Sdk {
                    given: landing.inner.sts.given(),
                    reason: panicked.to_string(),
                }),
            };
            landing.land(outcome);
        });
        flight
    }
}

/// Ends a flight, even when its task is dropped with its runtime.
struct Landing {
    inner: Arc<Inner>,
    sender: watch::Sender<Outcome>,
}

impl Landing {
    fn land(&self, outcome: Result<Session, MfaError>) {
        let mut state = self.inner.lock();
        state.flight = None;
        if let Ok(session) = &outcome {
            state.session = Some(session.clone());
        }
        drop(state);
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.sender.borrow().is_none() {
            self.land(Err(MfaError::Interrupted));
        }
    }
}
