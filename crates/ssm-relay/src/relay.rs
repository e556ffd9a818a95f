use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::Instrument as _;

use crate::api::{ApiError, SessionApi, Ticket};
use crate::clock::Clock;
use crate::config::Limits;
use crate::driver::{Driver, Phase};
use crate::error::{End, OpenError};
use crate::event::{Event, EventSender, Events, Outcome};
use crate::forward::Forward;
use crate::listener::Listener;
use crate::pool::{Lease, Pick, Pool};
use crate::proxy::Proxy;
use crate::shared::{Shared, StreamError, StreamHandle};
use crate::signer::Signer;
use crate::stats::Stats;
use crate::stream::TunnelStream;
use crate::stream_url::StreamEndpoint;
use crate::supervisor::{Supervisor, begin};
use crate::terminate::TerminateGuard;
use crate::tls::CaBundle;
use crate::websocket::Connector;

/// A port-forward over one session, or over one session a connection where the agent is old.
///
/// Dropping it ends it in the background: TerminateSession is called even when the runtime goes
/// down at the same time.
#[derive(Debug)]
pub struct Relay {
    tunnel: Arc<Supervisor>,
    /// What happened before anybody asked for events.
    first_events: Mutex<Option<Events>>,
}

/// What a [`Relay`] is made of besides its session.
#[derive(Debug, Clone, Default)]
pub struct RelayConfig {
    /// Limits and times.
    pub limits: Limits,
    /// Which stream URLs may be connected to.
    pub endpoint: StreamEndpoint,
    /// Signs the websocket's request. Without one only presigned URLs work with the real service.
    pub signer: Option<Signer>,
    /// The way through a proxy. Default: as the environment says.
    pub proxy: Proxy,
    /// Root certificates to trust instead of the system's.
    pub ca_bundle: Option<CaBundle>,
    /// What becomes of the relay when its session ends for good.
    pub on_session_end: OnSessionEnd,
}

/// What becomes of a tunnel when its session ends for good: it timed out, was terminated, could not
/// be resumed in time, or the agent broke the protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnSessionEnd {
    /// The tunnel ends too, and says why.
    #[default]
    Stop,
    /// The session's connections are reset, and the next one gets a new session. Until it comes
    /// there is none, so that an account's idle time-out keeps its meaning. Not before the tunnel
    /// was ready once; and where no session can be started within
    /// [`Limits::resume_budget`], or none may be ([`SessionApi::starts_more`]), the tunnel ends.
    Restart,
}

/// What all sessions of a tunnel share.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) api: Arc<dyn SessionApi>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) events: EventSender,
    pub(crate) clock: Arc<Clock>,
    next_connection: Arc<AtomicU64>,
}

/// One session, and further ones: those that connections are spread over, or, where each carries
/// one connection, those of the others.
pub(crate) struct Core {
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

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("session_id", &self.first.id)
            .finish_non_exhaustive()
    }
}

/// A running session. Dropping it ends the session.
#[derive(Debug)]
pub(crate) struct SessionHandle {
    id: String,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    closing: watch::Sender<bool>,
}

impl SessionHandle {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Ended(_))
    }

    async fn settled(&self) -> Phase {
        let mut phase = self.phase.clone();
        let settled = phase
            .wait_for(|phase| !matches!(phase, Phase::Connecting))
            .await;
        // The driver always ends with a phase; without one its runtime is gone.
        settled.map_or(Phase::Ended(End::Aborted), |phase| phase.clone())
    }

    pub(crate) async fn ended(&self) -> End {
        let mut phase = self.phase.clone();
        match phase
            .wait_for(|phase| matches!(phase, Phase::Ended(_)))
            .await
            .as_deref()
        {
            Ok(Phase::Ended(end)) => end.clone(),
            _ => End::Aborted,
        }
    }

    fn close(&self) {
        self.shared.close();
        self.closing.send_replace(true);
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Relay {
    /// Starts a session and, if there is a listener, accepts local connections.
    ///
    /// Returns as soon as StartSession answered; the websocket and the handshake go on meanwhile,
    /// and connections made before they are through are held. [`ready`](Self::ready) waits for
    /// them.
    ///
    /// # Errors
    /// When StartSession failed; then nothing was started.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(
        config: RelayConfig,
        api: Arc<dyn SessionApi>,
        listener: Option<Listener>,
    ) -> Result<Self, ApiError> {
        let limits = Arc::new(config.limits);
        let (events, first_events) = EventSender::new();
        let parts = Parts {
            api,
            connector: Arc::new(Connector::new(
                config.endpoint,
                config.signer,
                limits.connect_timeout,
                config.proxy,
                config.ca_bundle,
            )),
            limits,
            events,
            clock: Arc::new(Clock::new()),
            next_connection: Arc::new(AtomicU64::new(1)),
        };
        let (ticket, guard) = begin(&parts).await?;
        parts.events.send(Event::SessionStarted {
            session_id: ticket.session_id.clone(),
        });
        // Before the driver has anything to tell.
        if let Some(listening) = listener.as_ref().and_then(Listener::event) {
            parts.events.send(listening);
        }
        let first = Core::start(&parts, ticket, guard, false);
        let tunnel = Supervisor::new(parts, config.on_session_end, first);
        if let Some(listener) = listener {
            tunnel.accept(listener);
        }
        tokio::spawn(tunnel.clone().run());
        Ok(Self {
            tunnel,
            first_events: Mutex::new(Some(first_events)),
        })
    }

    /// The id of the session that was started first, or last after a restart.
    pub fn session_id(&self) -> String {
        self.tunnel.current().session_id().to_owned()
    }

    /// Waits until the agent completed the handshake.
    ///
    /// # Errors
    /// Why the session ended instead.
    pub async fn ready(&self) -> Result<(), End> {
        self.tunnel.ready().await
    }

    /// Opens a connection to the destination, in process.
    ///
    /// # Errors
    /// When the session ended, or no session could be started for it.
    pub async fn connect(&self) -> Result<TunnelStream, OpenError> {
        let connection = self.tunnel.connect(None).await?;
        connection.stream.announce_soon();
        Ok(TunnelStream::new(connection))
    }

    /// The tunnel's events: at the first call everything since it was opened, later from now on.
    pub fn events(&self) -> Events {
        lock(&self.first_events)
            .take()
            .unwrap_or_else(|| self.tunnel.parts().events.subscribe())
    }

    /// Accepts local connections on a further listener, until the relay is over.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listen(&self, listener: Listener) {
        if let Some(listening) = listener.event() {
            self.tunnel.parts().events.send(listening);
        }
        self.tunnel.accept(listener);
    }

    /// A property of the session document, such as `portNumber`, as the agent's handshake brought
    /// it; `None` before the handshake.
    pub fn property(&self, name: &str) -> Option<String> {
        self.tunnel.current().property(name)
    }

    /// What went through it so far.
    pub fn stats(&self) -> Stats {
        let round_trip = self.tunnel.current().round_trip();
        self.tunnel.parts().events.counters().stats(round_trip)
    }

    /// Waits for the end and says why.
    pub async fn closed(&self) -> End {
        self.tunnel.closed().await
    }

    /// Ends it: what is on its way is delivered, the session is terminated. Takes at most three
    /// times [`Limits::close_timeout`] and a second, whatever the network does.
    pub async fn close(&self) -> End {
        self.tunnel.close();
        self.closed().await
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tunnel.close();
    }
}

impl Core {
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
            first: start(parts, ticket, guard),
            parts: parts.clone(),
            follows,
            pool: Pool::new(parts.limits.sessions, parts.limits.session_idle),
            extra: Arc::new(Semaphore::new(parts.limits.max_sessions.max(1))),
            others: Mutex::new(Vec::new()),
            closing: watch::Sender::new(false),
        })
    }

    pub(crate) fn session_id(&self) -> &str {
        &self.first.id
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
                        return Ok(self.connection(stream, peer, Place::First));
                    }
                    if self.parts.api.starts_more() {
                        return self.connect_by_itself(peer).await;
                    }
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
        match &*self.first.phase.borrow() {
            Phase::Ended(end) => OpenError::Ended(end.clone()),
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
            return Ok(self.connection(stream, peer, Place::Shared(lease)));
        }
        let lease = self.pool.first();
        let stream = self.first.shared.open().ok_or_else(|| self.refusal())?;
        Ok(self.connection(stream, peer, Place::Shared(lease)))
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
        Ok(self.connection(stream, peer, Place::Own(session, permit)))
    }

    /// A session beyond the first, settled.
    async fn start_another(&self) -> Result<Arc<SessionHandle>, OpenError> {
        let (ticket, guard) = begin(&self.parts)
            .await
            .map_err(|error| OpenError::Start(Arc::new(error)))?;
        self.parts.events.send(Event::SessionStarted {
            session_id: ticket.session_id.clone(),
        });
        let session = Arc::new(start(&self.parts, ticket, guard));
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

    fn connection(
        &self,
        stream: StreamHandle,
        peer: Option<SocketAddr>,
        place: Place,
    ) -> Connection {
        let number = self.parts.next_connection.fetch_add(1, Ordering::Relaxed);
        self.parts.events.send(Event::ConnectionOpened {
            connection: number,
            peer,
        });
        Connection {
            stream,
            number,
            outcome: Outcome::Finished,
            events: self.parts.events.clone(),
            place,
        }
    }
}

/// One connection through the tunnel. Dropping it reports its end.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: StreamHandle,
    number: u64,
    pub(crate) outcome: Outcome,
    events: EventSender,
    place: Place,
}

/// What a connection holds of its session, and gives back when it is dropped.
#[derive(Debug)]
enum Place {
    /// The first session, alone.
    First,
    /// One of those that connections are spread over.
    Shared(#[expect(dead_code, reason = "held, never looked at")] Lease),
    /// Where the agent is old: the session that carries nothing else.
    Own(
        #[expect(dead_code, reason = "held, never looked at")] Arc<SessionHandle>,
        #[expect(dead_code, reason = "held, never looked at")] OwnedSemaphorePermit,
    ),
}

impl Connection {
    /// For what is logged of it.
    pub(crate) fn span(&self) -> tracing::Span {
        tracing::info_span!("connection", number = self.number)
    }

    pub(crate) fn failed(&mut self, error: &StreamError) {
        self.outcome = match error {
            StreamError::Refused => Outcome::Refused,
            StreamError::Reset | StreamError::Ended(_) => Outcome::Reset,
        };
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if matches!(self.place, Place::Shared(_)) {
            // Whoever hears of the end may count on the place.
            self.place = Place::First;
        }
        let (sent, received) = self.stream.counts();
        self.events.send(Event::ConnectionClosed {
            connection: self.number,
            sent,
            received,
            outcome: self.outcome,
        });
    }
}

fn start(parts: &Parts, ticket: Ticket, guard: TerminateGuard) -> SessionHandle {
    let id = ticket.session_id.clone();
    let unix_time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let forward = Forward::new(
        (*parts.limits).clone(),
        seed(),
        parts.clock.now(),
        unix_time,
    );
    let shared = Shared::new(forward, parts.clock.clone(), parts.events.counters());
    let (phase, phase_receiver) = watch::channel(Phase::Connecting);
    let (closing, closing_receiver) = watch::channel(false);
    let driver = Driver {
        shared: shared.clone(),
        api: parts.api.clone(),
        connector: parts.connector.clone(),
        limits: parts.limits.clone(),
        events: parts.events.clone(),
        phase,
        closing: closing_receiver,
        session_id: id.clone(),
        one_connection: parts.api.starts_more(),
    };
    let span = tracing::info_span!("session", id = %id);
    tokio::spawn(driver.run(ticket, guard).instrument(span));
    SessionHandle {
        id,
        shared,
        phase: phase_receiver,
        closing,
    }
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    if getrandom::fill(&mut seed).is_err() {
        // Message ids must differ, not be secret.
        seed.fill_with(|| fastrand::u8(..));
    }
    seed
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
