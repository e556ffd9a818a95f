//! A running session, as its owner sees it.

use std::fmt;
use std::sync::Arc;

use super::state::{SessionState, Stage};
use crate::api::CallError;
use crate::data_channel::DataChannel;
use crate::end::End;

/// A running session. Dropping it closes the session.
pub struct SessionHandle<C: DataChannel, A: CallError> {
    id: String,
    state: Arc<SessionState<C, A>>,
}

impl<C: DataChannel, A: CallError> SessionHandle<C, A> {
    pub(super) fn new(id: String, state: Arc<SessionState<C, A>>) -> Self {
        Self { id, state }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its state, to use the state machine.
    pub fn state(&self) -> &Arc<SessionState<C, A>> {
        &self.state
    }

    /// Waits until the handshake is complete.
    ///
    /// # Errors
    /// Why the session ended instead, once it is over.
    pub async fn ready(&self) -> Result<(), End<C::Error, A>> {
        match self.settled().await {
            Stage::Ending(_) | Stage::Ended(_) => Err(self.ended().await),
            _ => Ok(()),
        }
    }

    /// Waits until the handshake is complete or the session ends, and returns how far the session is.
    pub async fn settled(&self) -> Stage<C::Error, A> {
        self.reached(|stage| !matches!(stage, Stage::Connecting))
            .await
    }

    /// Waits until the session is over, TerminateSession included, and returns why.
    pub async fn ended(&self) -> End<C::Error, A> {
        match self.reached(|stage| matches!(stage, Stage::Ended(_))).await {
            Stage::Ended(end) => end,
            _ => End::Aborted,
        }
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        matches!(*self.state.subscribe().borrow(), Stage::Ended(_))
    }

    /// Closes it: queued data is delivered, then the session is terminated.
    pub fn close(&self) {
        self.state.closing().cancel();
    }

    /// Has it look at the time again.
    pub fn wake(&self) {
        self.state.lock().wake();
    }

    async fn reached(&self, wanted: impl FnMut(&Stage<C::Error, A>) -> bool) -> Stage<C::Error, A> {
        let mut stage = self.state.subscribe();
        let reached = stage.wait_for(wanted).await;
        // The sender lives in the state.
        reached.map_or(Stage::Ended(End::Aborted), |stage| stage.clone())
    }
}

impl<C: DataChannel, A: CallError> Drop for SessionHandle<C, A> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<C: DataChannel, A: CallError> fmt::Debug for SessionHandle<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
