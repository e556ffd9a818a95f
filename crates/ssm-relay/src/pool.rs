//! Which session a connection gets where connections share sessions: the one with the fewest, or,
//! when all are in use and more are allowed, one that is started for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::relay::SessionHandle;

/// The sessions beside the first, and how many connections each one has, the first included.
#[derive(Debug)]
pub(crate) struct Pool {
    max: usize,
    idle: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The first is never closed, and has no handle here.
    seats: Vec<Seat>,
    next_id: u64,
}

#[derive(Debug)]
struct Seat {
    id: u64,
    session: Member,
    connections: watch::Sender<usize>,
}

#[derive(Debug)]
enum Member {
    First,
    Starting,
    Further(Arc<SessionHandle>),
}

/// What [`Pool::pick`] decided. The lease counts as a connection either way.
#[derive(Debug)]
pub(crate) enum Pick {
    /// The first session.
    First(Lease),
    /// One that was started before.
    Further(Arc<SessionHandle>, Lease),
    /// Start another, and hand it over with [`Pool::started`]. Dropping the lease instead makes
    /// room for another attempt.
    Start(Lease),
}

/// A connection's place in a session, from before the session is started until the connection is
/// gone.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    id: u64,
}

const FIRST: u64 = 0;

impl Pool {
    /// At most `max` sessions; further ones are closed after being `idle` for so long.
    pub(crate) fn new(max: usize, idle: Duration) -> Arc<Self> {
        let first = Seat {
            id: FIRST,
            session: Member::First,
            connections: watch::Sender::new(0),
        };
        Arc::new(Self {
            max: max.max(1),
            idle,
            state: Mutex::new(State {
                seats: vec![first],
                next_id: FIRST + 1,
            }),
        })
    }

    /// A place for one more connection. Without `may_start` only sessions that there are.
    pub(crate) fn pick(self: &Arc<Self>, may_start: bool) -> Pick {
        let mut state = self.lock();
        state.seats.retain(|seat| match &seat.session {
            Member::Further(session) => !session.has_ended(),
            _ => true,
        });
        let full = state.seats.len() >= self.max || !may_start;
        // The earliest of those with the fewest: what is not needed falls idle.
        let least = state
            .seats
            .iter()
            .filter(|seat| !matches!(seat.session, Member::Starting))
            .min_by_key(|seat| *seat.connections.borrow());
        match least {
            Some(seat) if full || *seat.connections.borrow() == 0 => {
                seat.connections.send_modify(|count| *count += 1);
                let lease = self.lease(seat.id);
                match &seat.session {
                    Member::Further(session) => Pick::Further(session.clone(), lease),
                    _ => Pick::First(lease),
                }
            }
            _ => {
                let id = state.next_id;
                state.next_id += 1;
                state.seats.push(Seat {
                    id,
                    session: Member::Starting,
                    connections: watch::Sender::new(1),
                });
                Pick::Start(self.lease(id))
            }
        }
    }

    /// A place in the first session.
    pub(crate) fn first(self: &Arc<Self>) -> Lease {
        if let Some(seat) = self.lock().seats.first() {
            seat.connections.send_modify(|count| *count += 1);
        }
        self.lease(FIRST)
    }

    fn lease(self: &Arc<Self>, id: u64) -> Lease {
        Lease {
            pool: self.clone(),
            id,
        }
    }

    /// The session of a [`Pick::Start`]: others may be put on it from now on, and it ends once it
    /// was idle for long enough.
    pub(crate) fn started(self: &Arc<Self>, lease: &Lease, session: &Arc<SessionHandle>) {
        let mut state = self.lock();
        let Some(seat) = state.seats.iter_mut().find(|seat| seat.id == lease.id) else {
            return;
        };
        seat.session = Member::Further(session.clone());
        let connections = seat.connections.subscribe();
        tokio::spawn(self.clone().watch(lease.id, connections, session.clone()));
    }

    /// Waits until the session is to be closed, or is over anyway.
    async fn watch(
        self: Arc<Self>,
        id: u64,
        mut connections: watch::Receiver<usize>,
        session: Arc<SessionHandle>,
    ) {
        let idle = async {
            loop {
                // The sender lives in the seat; without one there is nothing to wait for.
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

    /// Takes an idle session out, unless it got a connection just now.
    fn retire(&self, id: u64) -> bool {
        let mut state = self.lock();
        let before = state.seats.len();
        state
            .seats
            .retain(|seat| seat.id != id || *seat.connections.borrow() > 0);
        state.seats.len() < before
    }

    fn remove(&self, id: u64) {
        self.lock().seats.retain(|seat| seat.id != id);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        let Some(at) = state.seats.iter().position(|seat| seat.id == self.id) else {
            return;
        };
        if let Some(seat) = state.seats.get(at) {
            seat.connections.send_modify(|count| *count -= 1);
            if matches!(seat.session, Member::Starting) {
                state.seats.remove(at);
            }
        }
    }
}
