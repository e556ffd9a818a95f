//! The sessions that replace each other as a whole when the first one ends: the first, and those
//! started beside it for further connections.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ssm_session::{CallError, Stage, StartError, StartedSession};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Hold};
use super::context::TunnelContext;
use super::pool::{Choice, Pool, SlotLease};
use crate::error::{End, OpenError};
use crate::event::Event;
use crate::stream::{Session, StreamHandle, WaitingConnection};

/// A first session, and those started beside it.
pub(crate) struct Sessions<A: CallError> {
    context: Arc<TunnelContext<A>>,
    /// They follow others: the tunnel was ready once.
    follows: bool,
    /// The session that was started first. Its end is the end of all of them.
    first: Session<A>,
    /// How the sessions carry connections, once the handshake has settled it.
    carriage: OnceLock<Carriage<A>>,
    /// All sessions but the first.
    others: Mutex<Vec<Weak<Session<A>>>>,
    /// Cancelled when all of them are to be closed.
    closing: CancellationToken,
}

/// How sessions carry connections.
enum Carriage<A: CallError> {
    /// Connections share sessions, spread over those of the pool.
    Shared(Arc<Pool<A>>),
    /// Each session carries one connection: one permit per session beyond the first.
    OnePerConnection(Arc<Semaphore>),
}

impl<A: CallError> Sessions<A> {
    /// Runs a session that was started. `follows` is whether the tunnel had others before.
    pub(crate) fn run(
        context: &Arc<TunnelContext<A>>,
        started: StartedSession<A>,
        follows: bool,
    ) -> Arc<Self> {
        let closing = context.closing.child_token();
        Arc::new(Self {
            first: context.run_session(started, closing.child_token()),
            context: context.clone(),
            follows,
            carriage: OnceLock::new(),
            others: Mutex::new(Vec::new()),
            closing,
        })
    }

    pub(crate) fn session_id(&self) -> &str {
        self.first.id()
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.first.state().lock().forward.round_trip()
    }

    pub(crate) fn property(&self, name: &str) -> Option<String> {
        let channel = self.first.state().lock();
        let properties = &channel.forward.ready()?.properties;
        properties.value(name).map(str::to_owned)
    }

    /// Whether the agent ever was ready.
    pub(crate) fn was_ready(&self) -> bool {
        self.first.state().lock().forward.ready().is_some()
    }

    /// Whether new sessions may replace these: what never worked is not tried again.
    pub(crate) fn may_be_followed(&self) -> bool {
        self.context.can_start_more() && (self.follows || self.was_ready())
    }

    /// Waits until connections can be opened.
    pub(crate) async fn ready(&self) -> Result<(), End<A>> {
        match self.first.settled().await {
            Stage::Ending(end) | Stage::Ended(end) if !self.outlives_first(&end) => {
                Err(self.first.ended().await)
            }
            _ => Ok(()),
        }
    }

    /// Has every session look at the time again.
    pub(crate) fn wake(&self) {
        self.first.wake();
        for other in self.others() {
            other.wake();
        }
    }

    /// Waits until all of them are over, and returns why the first one ended; [`End::Closed`] where the
    /// first one's end was the end of its connection only.
    pub(crate) async fn finished(&self) -> End<A> {
        let mut end = self.first.ended().await;
        if self.outlives_first(&end) {
            // An agent reports a destination that refuses by ending the session without an answer.
            let answered = self.first.state().lock().forward.was_answered();
            if let End::ByService { output } = end
                && (!answered || !output.is_empty())
            {
                self.context.events.send(Event::DestinationRefused {
                    session_id: self.first.id().to_owned(),
                    message: output,
                });
            }
            self.closing.cancelled().await;
            end = End::Closed;
        }
        self.closing.cancel();
        for other in self.others() {
            other.ended().await;
        }
        end
    }

    fn others(&self) -> Vec<Arc<Session<A>>> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.iter().filter_map(Weak::upgrade).collect()
    }

    fn carriage(&self) -> &Carriage<A> {
        self.carriage.get_or_init(|| {
            let limits = &self.context.limits;
            if self.first.state().lock().forward.is_multiplexed() {
                Carriage::Shared(Pool::new(limits.sessions, limits.tuning.session_idle))
            } else {
                Carriage::OnePerConnection(Arc::new(Semaphore::new(limits.max_sessions.max(1))))
            }
        })
    }

    /// Whether the tunnel outlives its first session, which ended so: where each session carries
    /// one connection, that is the end of the connection only.
    fn outlives_first(&self, end: &End<A>) -> bool {
        if self.closing.is_cancelled() || !self.context.can_start_more() {
            return false;
        }
        let channel = self.first.state().lock();
        channel.forward.ready().is_some()
            && !channel.forward.is_multiplexed()
            && matches!(end, End::Closed | End::ByService { .. })
    }

    /// Opens a connection for a local peer, or in process.
    pub(crate) async fn connect(
        &self,
        peer: Option<SocketAddr>,
    ) -> Result<Connection<A>, OpenError<A>> {
        let freed = self.first.state().lock().freed();
        loop {
            let freed = freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.first.settled().await {
                Stage::Ending(end) | Stage::Ended(end) if !self.outlives_first(&end) => {
                    return Err(OpenError::Ended(self.first.ended().await));
                }
                _ => {}
            }
            let permits = match self.carriage() {
                Carriage::Shared(pool) => return self.connect_shared(pool, peer).await,
                Carriage::OnePerConnection(permits) => permits,
            };
            if let Some(stream) = self.open(&self.first) {
                let hold = Hold::First;
                return Ok(self.connection(&self.first, stream, peer, hold));
            }
            if self.context.can_start_more() {
                return self.connect_by_itself(permits, peer).await;
            }
            let _waiting = WaitingConnection::new(self.first.state());
            freed.await;
        }
    }

    fn open(&self, session: &Session<A>) -> Option<StreamHandle<A>> {
        StreamHandle::open(session.state(), self.context.events.counters())
    }

    fn connection(
        &self,
        session: &Session<A>,
        stream: StreamHandle<A>,
        peer: Option<SocketAddr>,
        hold: Hold<A>,
    ) -> Connection<A> {
        Connection::new(&self.context, session, stream, peer, hold)
    }

    /// A connection in the session with the fewest, or in one that is started for it. Where that
    /// fails, the first one carries it: more sessions are a matter of speed.
    async fn connect_shared(
        &self,
        pool: &Arc<Pool<A>>,
        peer: Option<SocketAddr>,
    ) -> Result<Connection<A>, OpenError<A>> {
        let (session, lease) = match pool.choose(self.context.can_start_more()) {
            Choice::First(lease) => return self.connect_first(lease, peer).await,
            Choice::Further(session, lease) => (session, lease),
            Choice::Start(lease) => match self.start_another().await {
                Ok(session) => {
                    pool.started(&lease, &session);
                    (session, lease)
                }
                Err(error) => {
                    tracing::warn!(%error, "no further session for a connection");
                    drop(lease);
                    return self.connect_first(pool.first(), peer).await;
                }
            },
        };
        match self.open(&session) {
            Some(stream) => Ok(self.connection(&session, stream, peer, Hold::Slot(lease))),
            None => {
                drop(lease);
                self.connect_first(pool.first(), peer).await
            }
        }
    }

    async fn connect_first(
        &self,
        lease: SlotLease<A>,
        peer: Option<SocketAddr>,
    ) -> Result<Connection<A>, OpenError<A>> {
        if let Some(stream) = self.open(&self.first) {
            return Ok(self.connection(&self.first, stream, peer, Hold::Slot(lease)));
        }
        Err(if self.first.state().end().is_some() {
            OpenError::Ended(self.first.ended().await)
        } else if self.first.state().is_closing() {
            OpenError::Ended(End::Closed)
        } else {
            OpenError::TooManyStreams
        })
    }

    /// A connection with a session of its own.
    async fn connect_by_itself(
        &self,
        permits: &Arc<Semaphore>,
        peer: Option<SocketAddr>,
    ) -> Result<Connection<A>, OpenError<A>> {
        let closed = || OpenError::Ended(End::Closed);
        let permit = tokio::select! {
            biased;
            () = self.closing.cancelled() => return Err(closed()),
            permit = permits.clone().acquire_owned() => permit.map_err(|_| closed())?,
        };
        let session = self.start_another().await?;
        let stream = self.open(&session).ok_or_else(closed)?;
        let hold = Hold::Own(session.clone(), permit);
        Ok(self.connection(&session, stream, peer, hold))
    }

    /// A session beyond the first, ready.
    async fn start_another(&self) -> Result<Arc<Session<A>>, OpenError<A>> {
        let started = self
            .context
            .start_session()
            .await
            .map_err(|error| match error {
                StartError::Api(error) => OpenError::StartFurther(error.into_cause()),
                _ => OpenError::Ended(End::Aborted),
            })?;
        let closing = self.closing.child_token();
        let session = Arc::new(self.context.run_session(started, closing));
        {
            let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
            others.retain(|other| other.strong_count() > 0);
            others.push(Arc::downgrade(&session));
        }
        if self.closing.is_cancelled() {
            return Err(OpenError::Ended(End::Closed));
        }
        session.ready().await.map_err(OpenError::Ended)?;
        Ok(session)
    }
}

impl<A: CallError> fmt::Debug for Sessions<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("session_id", &self.first.id())
            .finish_non_exhaustive()
    }
}
