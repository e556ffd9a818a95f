use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::api::{ApiError, SessionApi, Ticket};
use crate::config::Limits;
use crate::driver::{Driver, Phase};
use crate::error::{End, OpenError};
use crate::event::{Event, EventSender, Events, Outcome};
use crate::forward::Forward;
use crate::listener;
use crate::proxy::Proxy;
use crate::shared::{Shared, StreamError, StreamHandle, now};
use crate::signer::Signer;
use crate::stream::TunnelStream;
use crate::stream_url::StreamEndpoint;
use crate::tls::CaBundle;
use crate::websocket::Connector;

/// A port-forward over one session, or over one session a connection where the agent is old.
///
/// Dropping it ends it in the background: TerminateSession is called even when the runtime goes
/// down at the same time.
#[derive(Debug)]
pub struct Relay {
    core: Arc<Core>,
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
}

pub(crate) struct Core {
    api: Arc<dyn SessionApi>,
    limits: Arc<Limits>,
    connector: Arc<Connector>,
    events: EventSender,
    /// The session that was started first, and the only one where connections share it.
    first: SessionHandle,
    /// One permit a session beyond the first.
    extra: Arc<Semaphore>,
    /// Sessions that carry one connection each, beyond the first.
    others: Mutex<Vec<Weak<SessionHandle>>>,
    closing: watch::Sender<bool>,
    ended: watch::Sender<Option<End>>,
    next_connection: AtomicU64,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// A running session. Dropping it ends the session.
#[derive(Debug)]
struct SessionHandle {
    id: String,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    closing: watch::Sender<bool>,
}

impl SessionHandle {
    async fn settled(&self) -> Phase {
        let mut phase = self.phase.clone();
        let settled = phase
            .wait_for(|phase| !matches!(phase, Phase::Connecting))
            .await;
        // The driver always ends with a phase; without one its runtime is gone.
        settled.map_or(Phase::Ended(End::Closed), |phase| phase.clone())
    }

    async fn ended(&self) -> End {
        let mut phase = self.phase.clone();
        match phase
            .wait_for(|phase| matches!(phase, Phase::Ended(_)))
            .await
            .as_deref()
        {
            Ok(Phase::Ended(end)) => end.clone(),
            _ => End::Closed,
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
        listener: Option<TcpListener>,
    ) -> Result<Self, ApiError> {
        let limits = Arc::new(config.limits);
        let connector = Arc::new(Connector::new(
            config.endpoint,
            config.signer,
            limits.connect_timeout,
            config.proxy,
            config.ca_bundle,
        ));
        let (events, first_events) = EventSender::new();
        let ticket = api.start().await?;
        let address = listener
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        let first = start(&api, &limits, &connector, &events, ticket, address);
        let core = Arc::new(Core {
            extra: Arc::new(Semaphore::new(limits.max_sessions.max(1))),
            api,
            limits,
            connector,
            events,
            first,
            others: Mutex::new(Vec::new()),
            closing: watch::Sender::new(false),
            ended: watch::Sender::new(None),
            next_connection: AtomicU64::new(1),
        });
        let accepting =
            listener.map(|listener| tokio::spawn(listener::accept(listener, core.clone())));
        tokio::spawn(supervise(core.clone(), accepting));
        Ok(Self {
            core,
            first_events: Mutex::new(Some(first_events)),
        })
    }

    /// The id of the session that was started first.
    pub fn session_id(&self) -> &str {
        &self.core.first.id
    }

    /// Waits until the agent completed the handshake.
    ///
    /// # Errors
    /// Why the session ended instead.
    pub async fn ready(&self) -> Result<(), End> {
        match self.core.first.settled().await {
            Phase::Ended(end) if !self.core.goes_on_after(&end) => Err(end),
            _ => Ok(()),
        }
    }

    /// Opens a connection to the destination, in process.
    ///
    /// # Errors
    /// When the session ended, or no session could be started for it.
    pub async fn connect(&self) -> Result<TunnelStream, OpenError> {
        Ok(TunnelStream::new(self.core.connect(None).await?))
    }

    /// The tunnel's events: at the first call everything since it was opened, later from now on.
    pub fn events(&self) -> Events {
        lock(&self.first_events)
            .take()
            .unwrap_or_else(|| self.core.events.subscribe())
    }

    /// Waits for the end and says why.
    pub async fn closed(&self) -> End {
        let mut ended = self.core.ended.subscribe();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(end)) => end.clone(),
            _ => End::Closed,
        }
    }

    /// Ends it: what is on its way is delivered, the session is terminated. Takes at most about
    /// three times [`Limits::close_timeout`], whatever the network does.
    pub async fn close(&self) -> End {
        self.core.close();
        self.closed().await
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl Core {
    fn close(&self) {
        self.closing.send_replace(true);
        self.first.close();
        for other in lock(&self.others).iter().filter_map(Weak::upgrade) {
            other.close();
        }
    }

    /// Whether the tunnel outlives its first session, which ended so: where each session carries
    /// one connection, that is the end of the connection only.
    fn goes_on_after(&self, end: &End) -> bool {
        if *self.closing.borrow() || !self.api.starts_more() {
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
                Phase::Ready { multiplexed } => {
                    if let Some(stream) = first.shared.open() {
                        return Ok(self.connection(stream, peer, None));
                    }
                    match (multiplexed, self.api.starts_more()) {
                        (true, _) => return Err(self.refusal()),
                        (false, true) => return self.connect_by_itself(peer).await,
                        (false, false) => freed.await,
                    }
                }
                Phase::Ended(end) if self.goes_on_after(&end) => {
                    return self.connect_by_itself(peer).await;
                }
                Phase::Ended(end) => return Err(OpenError::Ended(end)),
            }
        }
    }

    pub(crate) fn report(&self, event: Event) {
        self.events.send(event);
    }

    fn refusal(&self) -> OpenError {
        match &*self.first.phase.borrow() {
            Phase::Ended(end) => OpenError::Ended(end.clone()),
            _ if *self.closing.borrow() => OpenError::Ended(End::Closed),
            _ => OpenError::TooManyStreams,
        }
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
        let ticket = self
            .api
            .start()
            .await
            .map_err(|error| OpenError::Start(Arc::new(error)))?;
        let session = Arc::new(start(
            &self.api,
            &self.limits,
            &self.connector,
            &self.events,
            ticket,
            None,
        ));
        {
            let mut others = lock(&self.others);
            others.retain(|other| other.strong_count() > 0);
            others.push(Arc::downgrade(&session));
        }
        if *self.closing.borrow() {
            return Err(closed());
        }
        match session.settled().await {
            Phase::Ended(end) => Err(OpenError::Ended(end)),
            _ => {
                let stream = session.shared.open().ok_or_else(closed)?;
                Ok(self.connection(stream, peer, Some((session, permit))))
            }
        }
    }

    fn connection(
        &self,
        stream: StreamHandle,
        peer: Option<SocketAddr>,
        own: Option<(Arc<SessionHandle>, OwnedSemaphorePermit)>,
    ) -> Connection {
        let number = self.next_connection.fetch_add(1, Ordering::Relaxed);
        self.events.send(Event::ConnectionOpened {
            connection: number,
            peer,
        });
        Connection {
            stream,
            number,
            outcome: Outcome::Finished,
            events: self.events.clone(),
            _own: own,
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
    /// Where the agent is old: the session that carries nothing else.
    _own: Option<(Arc<SessionHandle>, OwnedSemaphorePermit)>,
}

impl Connection {
    pub(crate) fn failed(&mut self, error: &StreamError) {
        self.outcome = match error {
            StreamError::Refused => Outcome::Refused,
            StreamError::Reset | StreamError::Ended(_) => Outcome::Reset,
        };
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let (sent, received) = self.stream.counts();
        self.events.send(Event::ConnectionClosed {
            connection: self.number,
            sent,
            received,
            outcome: self.outcome,
        });
    }
}

fn start(
    api: &Arc<dyn SessionApi>,
    limits: &Arc<Limits>,
    connector: &Arc<Connector>,
    events: &EventSender,
    ticket: Ticket,
    listening: Option<SocketAddr>,
) -> SessionHandle {
    let id = ticket.session_id.clone();
    events.send(Event::SessionStarted {
        session_id: id.clone(),
    });
    // Before the driver has anything to tell.
    if let Some(address) = listening {
        events.send(Event::Listening { address });
    }
    let unix_time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let shared = Shared::new(Forward::new((**limits).clone(), seed(), now(), unix_time));
    let (phase, phase_receiver) = watch::channel(Phase::Connecting);
    let (closing, closing_receiver) = watch::channel(false);
    let driver = Driver {
        shared: shared.clone(),
        api: api.clone(),
        connector: connector.clone(),
        limits: limits.clone(),
        events: events.clone(),
        phase,
        closing: closing_receiver,
        session_id: id.clone(),
        one_connection: api.starts_more(),
    };
    tokio::spawn(driver.run(ticket));
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

/// Turns the end of the first session into the end of the tunnel, unless the tunnel outlives it.
async fn supervise(core: Arc<Core>, accepting: Option<JoinHandle<()>>) {
    let mut end = core.first.ended().await;
    if core.goes_on_after(&end) {
        if let End::ByService { output } = end {
            core.events
                .send(Event::DestinationRefused { message: output });
        }
        let mut closing = core.closing.subscribe();
        let _ = closing.wait_for(|closing| *closing).await;
        end = End::Closed;
    }
    if let Some(accepting) = accepting {
        accepting.abort();
    }
    core.close();
    let others: Vec<_> = lock(&core.others)
        .iter()
        .filter_map(Weak::upgrade)
        .collect();
    for other in others {
        other.ended().await;
    }
    core.events.send(Event::Closed {
        reason: end.to_string(),
        clean: end.is_clean(),
    });
    core.ended.send_replace(Some(end));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
