use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::connection::{Connection, Place};
use super::{Parts, SessionHandle, lock};
use crate::api::Ticket;
use crate::driver::Phase;
use crate::error::{End, OpenError};
use crate::event::Event;
use crate::pool::{Pick, Pool};
use crate::supervisor::begin;
use crate::terminate::TerminateGuard;

/// One session, and further ones: those that connections are spread over, or, where each carries
/// one connection, those of the others.
pub(crate) struct Sessions {
    parts: Parts,
    /// A tunnel that was ready once.
    follows: bool,
    /// The session that was started first: the end of it is the end of all.
    first: SessionHandle,
    /// Where connections share sessions: which one gets the next.
    pool: Arc<Pool>,
    /// Where they do not: one permit a session beyond the first.
    extra: Arc<Semaphore>,
    /// All sessions beyond the first.
    others: Mutex<Vec<Weak<SessionHandle>>>,
    closing: watch::Sender<bool>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions")
            .field("session_id", &self.first.id())
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// Runs a session that was started. `follows` says that it is not the tunnel's first.
    pub(crate) fn start(
        parts: &Parts,
        ticket: Ticket,
        guard: TerminateGuard,
        follows: bool,
    ) -> Arc<Self> {
        if follows {
            parts.events.send(Event::SessionStarted {
                session_id: ticket.session_id.clone(),
            });
        }
        Arc::new(Self {
            first: SessionHandle::start(parts, ticket, guard),
            parts: parts.clone(),
            follows,
            pool: Pool::new(parts.limits.sessions, parts.limits.session_idle),
            extra: Arc::new(Semaphore::new(parts.limits.max_sessions.max(1))),
            others: Mutex::new(Vec::new()),
            closing: watch::Sender::new(false),
        })
    }

    pub(crate) fn session_id(&self) -> &str {
        self.first.id()
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.first.shared.lock().forward.round_trip()
    }

    pub(crate) fn property(&self, name: &str) -> Option<String> {
        let inner = self.first.shared.lock();
        let properties = &inner.forward.ready()?.properties;
        properties.value(name).map(str::to_owned)
    }

    /// Whether the agent ever was ready.
    pub(crate) fn was_ready(&self) -> bool {
        self.first.shared.lock().forward.ready().is_some()
    }

    /// Whether a new session may take this one's place: what never worked is not tried again.
    pub(crate) fn may_be_followed(&self) -> bool {
        self.parts.api.starts_more() && (self.follows || self.was_ready())
    }

    pub(crate) async fn ready(&self) -> Result<(), End> {
        match self.first.settled().await {
            Phase::Ended(end) if !self.goes_on_after(&end) => Err(end),
            _ => Ok(()),
        }
    }

    /// Has every session look at the time again.
    pub(crate) fn wake(&self) {
        self.first.shared.wake();
        for other in lock(&self.others).iter().filter_map(Weak::upgrade) {
            other.shared.wake();
        }
    }

    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
        // Nobody may wait for a place among the sessions any more.
        self.extra.close();
        self.first.close();
        for other in lock(&self.others).iter().filter_map(Weak::upgrade) {
            other.close();
        }
    }

    /// Waits until it is over, with all its sessions: the end of the first one, unless that ended
    /// only its connection.
    pub(crate) async fn finished(&self) -> End {
        let mut end = self.first.ended().await;
        if self.goes_on_after(&end) {
            // Without a word of the destination this is how an agent reports one that refuses.
            let answered = self.first.shared.lock().forward.was_answered();
            if let End::ByService { output } = end
                && (!answered || !output.is_empty())
            {
                self.parts
                    .events
                    .send(Event::DestinationRefused { message: output });
            }
            let mut closing = self.closing.subscribe();
            let _ = closing.wait_for(|closing| *closing).await;
            end = End::Closed;
        }
        self.close();
        let others: Vec<_> = lock(&self.others)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for other in others {
            other.ended().await;
        }
        end
    }

    /// Whether the tunnel outlives its first session, which ended so: where each session carries
    /// one connection, that is the end of the connection only.
    fn goes_on_after(&self, end: &End) -> bool {
        if *self.closing.borrow() || !self.parts.api.starts_more() {
            return false;
        }
        let inner = self.first.shared.lock();
        inner.forward.ready().is_some()
            && !inner.forward.is_multiplexed()
            && matches!(end, End::Closed | End::ByService { .. })
    }

    /// Opens a connection for a local peer, or in process.
    pub(crate) async fn connect(&self, peer: Option<SocketAddr>) -> Result<Connection, OpenError> {
        let first = &self.first;
        loop {
            let freed = first.shared.freed();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match first.settled().await {
                Phase::Connecting => {}
                Phase::Ready { multiplexed: true } => return self.connect_shared(peer).await,
                Phase::Ready { multiplexed: false } => {
                    if let Some(stream) = first.shared.open() {
                        return Ok(Connection::new(&self.parts, stream, peer, Place::First));
                    }
                    if self.parts.api.starts_more() {
                        return self.connect_by_itself(peer).await;
                    }
                    let _in_line = first.shared.wait_in_line();
                    freed.await;
                }
                Phase::Ended(end) if self.goes_on_after(&end) => {
                    return self.connect_by_itself(peer).await;
                }
                Phase::Ended(end) => return Err(OpenError::Ended(end)),
            }
        }
    }

    fn refusal(&self) -> OpenError {
        match self.first.phase() {
            Phase::Ended(end) => OpenError::Ended(end),
            _ if *self.closing.borrow() => OpenError::Ended(End::Closed),
            _ => OpenError::TooManyStreams,
        }
    }

    /// A connection in the session with the fewest, or in one that is started for it. Where that
    /// fails the first will do: one more is a matter of speed.
    async fn connect_shared(&self, peer: Option<SocketAddr>) -> Result<Connection, OpenError> {
        let (stream, lease) = match self.pool.pick(self.parts.api.starts_more()) {
            Pick::First(lease) => (self.first.shared.open(), lease),
            Pick::Further(session, lease) => (session.shared.open(), lease),
            Pick::Start(lease) => match self.start_another().await {
                Ok(session) => {
                    self.pool.started(&lease, &session);
                    (session.shared.open(), lease)
                }
                Err(error) => {
                    tracing::warn!(%error, "no further session for a connection");
                    (None, lease)
                }
            },
        };
        if let Some(stream) = stream {
            return Ok(Connection::new(
                &self.parts,
                stream,
                peer,
                Place::Shared(lease),
            ));
        }
        let lease = self.pool.first();
        let stream = self.first.shared.open().ok_or_else(|| self.refusal())?;
        Ok(Connection::new(
            &self.parts,
            stream,
            peer,
            Place::Shared(lease),
        ))
    }

    /// A connection with a session of its own.
    async fn connect_by_itself(&self, peer: Option<SocketAddr>) -> Result<Connection, OpenError> {
        let closed = || OpenError::Ended(End::Closed);
        let permit = self
            .extra
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let session = self.start_another().await?;
        let stream = session.shared.open().ok_or_else(closed)?;
        Ok(Connection::new(
            &self.parts,
            stream,
            peer,
            Place::Own(session, permit),
        ))
    }

    /// A session beyond the first, settled.
    async fn start_another(&self) -> Result<Arc<SessionHandle>, OpenError> {
        let (ticket, guard) = begin(&self.parts)
            .await
            .map_err(|error| OpenError::Start(Arc::new(error)))?;
        self.parts.events.send(Event::SessionStarted {
            session_id: ticket.session_id.clone(),
        });
        let session = Arc::new(SessionHandle::start(&self.parts, ticket, guard));
        {
            let mut others = lock(&self.others);
            others.retain(|other| other.strong_count() > 0);
            others.push(Arc::downgrade(&session));
        }
        if *self.closing.borrow() {
            return Err(OpenError::Ended(End::Closed));
        }
        match session.settled().await {
            Phase::Ended(end) => Err(OpenError::Ended(end)),
            _ => Ok(session),
        }
    }
}
