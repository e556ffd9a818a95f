//! Which session a connection gets where connections share sessions: the one with the fewest
//! connections, or, when all are in use and more are allowed, one that is started for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ssm_session::CallError;
use tokio::sync::watch;

use crate::stream::Session;

/// One slot per session, with the number of its connections.
#[derive(Debug)]
pub(super) struct Pool<A: CallError> {
    max: usize,
    idle: Duration,
    state: Mutex<State<A>>,
}

#[derive(Debug)]
struct State<A: CallError> {
    /// The first session is never closed, and has no handle here.
    slots: Vec<Slot<A>>,
    next_id: u64,
}

#[derive(Debug)]
struct Slot<A: CallError> {
    id: u64,
    session: SlotState<A>,
    connections: watch::Sender<usize>,
}

#[derive(Debug)]
enum SlotState<A: CallError> {
    First,
    Starting,
    Further(Arc<Session<A>>),
}

/// What [`Pool::choose`] decided. The lease counts as a connection either way.
#[derive(Debug)]
pub(super) enum Choice<A: CallError> {
    /// The first session.
    First(SlotLease<A>),
    /// One that was started earlier.
    Further(Arc<Session<A>>, SlotLease<A>),
    /// Start another one, and hand it over with [`Pool::started`]. Dropping the lease instead frees the
    /// slot for another attempt.
    Start(SlotLease<A>),
}

/// A connection's share of a slot, from before the session is started until the connection is gone.
#[derive(Debug)]
pub(super) struct SlotLease<A: CallError> {
    pool: Arc<Pool<A>>,
    id: u64,
}

const FIRST: u64 = 0;

impl<A: CallError> Pool<A> {
    /// At most `max` sessions; those beyond the first are closed after being idle for `idle`.
    pub(super) fn new(max: usize, idle: Duration) -> Arc<Self> {
        let first = Slot {
            id: FIRST,
            session: SlotState::First,
            connections: watch::Sender::new(0),
        };
        Arc::new(Self {
            max: max.max(1),
            idle,
            state: Mutex::new(State {
                slots: vec![first],
                next_id: FIRST + 1,
            }),
        })
    }

    /// A session for one more connection. Without `may_start`, one that exists.
    pub(super) fn choose(self: &Arc<Self>, may_start: bool) -> Choice<A> {
        let mut state = self.lock();
        state.slots.retain(|slot| match &slot.session {
            SlotState::Further(session) => !session.has_ended(),
            _ => true,
        });
        let full = state.slots.len() >= self.max || !may_start;
        // The earliest of those with the fewest connections, so that later ones fall idle.
        let least = state
            .slots
            .iter()
            .filter(|slot| !matches!(slot.session, SlotState::Starting))
            .min_by_key(|slot| *slot.connections.borrow());
        match least {
            Some(slot) if full || *slot.connections.borrow() == 0 => {
                slot.connections.send_modify(|count| *count += 1);
                let lease = self.lease(slot.id);
                match &slot.session {
                    SlotState::Further(session) => Choice::Further(session.clone(), lease),
                    _ => Choice::First(lease),
                }
            }
            _ => {
                let id = state.next_id;
                state.next_id += 1;
                state.slots.push(Slot {
                    id,
                    session: SlotState::Starting,
                    connections: watch::Sender::new(1),
                });
                Choice::Start(self.lease(id))
            }
        }
    }

    /// A share of the first session.
    pub(super) fn first(self: &Arc<Self>) -> SlotLease<A> {
        if let Some(slot) = self.lock().slots.first() {
            slot.connections.send_modify(|count| *count += 1);
        }
        self.lease(FIRST)
    }

    fn lease(self: &Arc<Self>, id: u64) -> SlotLease<A> {
        SlotLease {
            pool: self.clone(),
            id,
        }
    }

    /// The session of a [`Choice::Start`]: further connections may share it from now on, and it is closed
    /// once it was idle for long enough.
    pub(super) fn started(self: &Arc<Self>, lease: &SlotLease<A>, session: &Arc<Session<A>>) {
        let mut state = self.lock();
        let Some(slot) = state.slots.iter_mut().find(|slot| slot.id == lease.id) else {
            return;
        };
        slot.session = SlotState::Further(session.clone());
        let connections = slot.connections.subscribe();
        tokio::spawn(self.clone().watch(lease.id, connections, session.clone()));
    }

    /// Waits until the session is idle for too long, or over.
    async fn watch(
        self: Arc<Self>,
        id: u64,
        mut connections: watch::Receiver<usize>,
        session: Arc<Session<A>>,
    ) {
        let idle = async {
            loop {
                // The sender lives in the slot, which may be gone.
                if connections.wait_for(|count| *count == 0).await.is_err() {
                    return;
                }
                let used = connections.wait_for(|count| *count > 0);
                if tokio::time::timeout(self.idle, used).await.is_err() && self.retire(id) {
                    return;
                }
            }
        };
        tokio::select! {
            () = idle => tracing::debug!(session = session.id(), "idle session closed"),
            _ = session.ended() => self.remove(id),
        }
    }

    /// Removes an idle session, unless it just got a connection.
    fn retire(&self, id: u64) -> bool {
        let mut state = self.lock();
        let before = state.slots.len();
        state
            .slots
            .retain(|slot| slot.id != id || *slot.connections.borrow() > 0);
        state.slots.len() < before
    }

    fn remove(&self, id: u64) {
        self.lock().slots.retain(|slot| slot.id != id);
    }

    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: CallError> Drop for SlotLease<A> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        let Some(at) = state.slots.iter().position(|slot| slot.id == self.id) else {
            return;
        };
        if let Some(slot) = state.slots.get(at) {
            slot.connections.send_modify(|count| *count -= 1);
            if matches!(slot.session, SlotState::Starting) {
                state.slots.remove(at);
            }
        }
    }
}
