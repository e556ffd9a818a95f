//! The state of one session, shared by its task and its users.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::CallError;
use crate::clock::Clock;
use crate::data_channel::DataChannel;
use crate::end::End;

/// How far a session is. It never goes back.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Stage<P, A> {
    /// The handshake is not complete.
    Connecting,
    /// The handshake is complete.
    Ready,
    /// The session carries nothing any more; it is being terminated.
    Ending(End<P, A>),
    /// It is over.
    Ended(End<P, A>),
}

impl<P, A> Stage<P, A> {
    fn rank(&self) -> u8 {
        match self {
            Self::Connecting => 0,
            Self::Ready => 1,
            Self::Ending(_) => 2,
            Self::Ended(_) => 3,
        }
    }
}

/// One session's state machine behind a mutex that is never held across an await, how far the session
/// is, and whether it is being closed.
///
/// The session's task and the application call the state machine directly: there is no channel
/// between a socket and the state machine.
pub struct SessionState<C: DataChannel, A> {
    inner: Mutex<Inner<C>>,
    stage: watch::Sender<Stage<C::Error, A>>,
    closing: CancellationToken,
    clock: Arc<Clock>,
}

struct Inner<C> {
    channel: C,
    /// The session's task, while it sleeps.
    task: Option<Waker>,
}

impl<C: DataChannel, A: CallError> SessionState<C, A> {
    pub(super) fn new(channel: C, clock: Arc<Clock>, closing: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                channel,
                task: None,
            }),
            stage: watch::Sender::new(Stage::Connecting),
            closing,
            clock,
        })
    }

    /// A session that nothing drives, for tests of what uses one.
    pub fn detached(channel: C) -> Arc<Self> {
        Self::new(channel, Arc::new(Clock::new()), CancellationToken::new())
    }

    /// Locks the state machine. Never hold the guard across an await.
    pub fn lock(&self) -> SessionGuard<'_, C> {
        // The state machine does not panic halfway; a poisoned lock would only hide the first panic.
        SessionGuard(self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The session's time.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Why it ended, if it has.
    pub fn end(&self) -> Option<End<C::Error, A>> {
        match &*self.stage.borrow() {
            Stage::Ending(end) | Stage::Ended(end) => Some(end.clone()),
            _ => None,
        }
    }

    /// Whether the session is being closed by this side: nothing more may be written.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Stage<C::Error, A>> {
        self.stage.subscribe()
    }

    /// Moves on to a later stage, unless the session is at it or past it: the first reason to end counts.
    pub(super) fn advance(&self, to: Stage<C::Error, A>) {
        self.stage.send_if_modified(|stage| {
            let later = to.rank() > stage.rank();
            if later {
                *stage = match (&*stage, to) {
                    (Stage::Ending(end), Stage::Ended(_)) => Stage::Ended(end.clone()),
                    (_, to) => to,
                };
            }
            later
        });
    }

    /// The session carries nothing any more: everything that waits for it is woken.
    pub(super) fn begin_end(&self, end: End<C::Error, A>) {
        self.advance(Stage::Ending(end));
        self.lock().ended();
    }
}

impl<C: DataChannel, A> fmt::Debug for SessionState<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionState")
            .field("closing", &self.closing.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// The locked state machine of a session.
pub struct SessionGuard<'a, C>(MutexGuard<'a, Inner<C>>);

impl<C> SessionGuard<'_, C> {
    /// Has the session look at the state machine again. Call it after anything that gives it something
    /// to send, or makes room to receive.
    pub fn wake(&mut self) {
        if let Some(task) = self.0.task.take() {
            task.wake();
        }
    }

    /// The session's task looked at everything and goes to sleep.
    pub(super) fn park(&mut self, cx: &Context<'_>) {
        self.0.task = Some(cx.waker().clone());
    }
}

impl<C> Deref for SessionGuard<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0.channel
    }
}

impl<C> DerefMut for SessionGuard<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.0.channel
    }
}

impl<C> fmt::Debug for SessionGuard<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionGuard").finish_non_exhaustive()
    }
}
