//! A relay: a tunnel and the listeners whose connections it carries.

use std::sync::{Arc, Mutex, PoisonError};

use ssm_session::{
    CaBundle, CallError, Proxy, SessionApi, SessionContext, SessionOptions, Signer, StartError,
    StreamEndpoint,
};
use tokio::task::JoinSet;

use crate::accept::Acceptors;
use crate::error::{End, OpenError};
use crate::event::{EventSender, Events};
use crate::limits::Limits;
use crate::local::Listener;
use crate::stats::Stats;
use crate::tunnel::{self, OnSessionEnd, Supervisor, TunnelContext, TunnelStream};

/// A port forward over one session, or over one session per connection where the agent is old.
///
/// Dropping it closes it in the background: TerminateSession is called even when the runtime shuts
/// down at the same time.
#[derive(Debug)]
pub struct Relay<A: CallError> {
    tunnel: Arc<Supervisor<A>>,
    acceptors: Arc<Acceptors>,
    /// What happened before events were asked for.
    first_events: Mutex<Option<Events>>,
}

/// What a [`Relay`] needs besides the API.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RelayConfig {
    /// Limits and times.
    pub limits: Limits,
    /// Which stream URLs may be connected to.
    pub endpoint: StreamEndpoint,
    /// Signs the websocket's request. Without one only presigned URLs work with the real service.
    pub signer: Option<Signer>,
    /// The proxy. Default: as the environment says.
    pub proxy: Proxy,
    /// Root certificates to trust instead of the system's.
    pub ca_bundle: Option<CaBundle>,
    /// What becomes of the relay when its session ends for good.
    pub on_session_end: OnSessionEnd,
}

impl<A: CallError> Relay<A> {
    /// Starts a session and, if there is a listener, accepts local connections.
    ///
    /// Returns as soon as StartSession answered; the websocket and the handshake follow in the
    /// background, and connections made before they are complete are held. [`ready`](Self::ready) waits
    /// for them.
    ///
    /// # Errors
    /// When StartSession failed, or a limit is invalid; then nothing was started.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(
        config: RelayConfig,
        api: Arc<dyn SessionApi<Error = A>>,
        listener: Option<Listener>,
    ) -> Result<Self, OpenError<A>> {
        config.limits.check().map_err(OpenError::InvalidLimits)?;
        let mut options = SessionOptions::default();
        options.endpoint = config.endpoint;
        options.signer = config.signer;
        options.proxy = config.proxy;
        options.ca_bundle = config.ca_bundle;
        options.timeouts = config.limits.timeouts();
        let (events, first_events) = EventSender::new();
        let session = SessionContext::new(api, options);
        let context = Arc::new(TunnelContext::new(session, config.limits, events));
        let started = context.start_session().await.map_err(|error| match error {
            StartError::Api(error) => OpenError::Start(error.into_cause()),
            _ => OpenError::Ended(End::Aborted),
        })?;
        // Before the session reports anything.
        if let Some(listening) = listener.as_ref().and_then(Listener::event) {
            context.events.send(listening);
        }
        let relay = Self {
            tunnel: Supervisor::new(context, config.on_session_end, started),
            acceptors: Acceptors::new(),
            first_events: Mutex::new(Some(first_events)),
        };
        if let Some(listener) = listener {
            relay.acceptors.add(listener, relay.tunnel.clone());
        }
        tokio::spawn(run(relay.tunnel.clone(), relay.acceptors.clone()));
        Ok(relay)
    }

    /// The id of the session that was started first, or last after a restart.
    pub fn session_id(&self) -> String {
        self.tunnel.current().session_id().to_owned()
    }

    /// Waits until the agent completed the handshake.
    ///
    /// # Errors
    /// Why the session ended instead.
    pub async fn ready(&self) -> Result<(), End<A>> {
        self.tunnel.ready().await
    }

    /// Opens a connection to the destination, in process.
    ///
    /// # Errors
    /// When the session ended, or no session could be started for it.
    pub async fn connect(&self) -> Result<TunnelStream<A>, OpenError<A>> {
        let connection = self.tunnel.connect(None).await?;
        connection.stream.announce_soon();
        Ok(TunnelStream::new(connection))
    }

    /// The tunnel's events: at the first call everything since it was opened, later from now on.
    pub fn events(&self) -> Events {
        self.first_events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_else(|| self.context().events.subscribe())
    }

    /// Accepts local connections on a further listener, until the relay is over.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listen(&self, listener: Listener) {
        if let Some(listening) = listener.event() {
            self.context().events.send(listening);
        }
        self.acceptors.add(listener, self.tunnel.clone());
    }

    /// A property of the session document, such as `portNumber`, from the agent's handshake; `None`
    /// before the handshake.
    pub fn property(&self, name: &str) -> Option<String> {
        self.tunnel.current().property(name)
    }

    /// Bytes, connections, sessions and the round trip so far.
    pub fn stats(&self) -> Stats {
        let round_trip = self.tunnel.current().round_trip();
        self.context().events.counters().stats(round_trip)
    }

    /// Waits for the end and returns why.
    pub async fn closed(&self) -> End<A> {
        self.context().ended().await
    }

    /// Closes it: queued data is delivered, the session is terminated. Takes at most three times
    /// [`Limits::close_timeout`] and a second, whatever the network does.
    pub async fn close(&self) -> End<A> {
        self.context().closing.cancel();
        self.closed().await
    }

    fn context(&self) -> &TunnelContext<A> {
        self.tunnel.context()
    }
}

impl<A: CallError> Drop for Relay<A> {
    fn drop(&mut self) {
        self.context().closing.cancel();
    }
}

/// Ends the tunnel when its task is dropped with its runtime, or panics.
struct EndGuard<A: CallError>(Arc<TunnelContext<A>>);

impl<A: CallError> Drop for EndGuard<A> {
    fn drop(&mut self) {
        self.0.end(End::Aborted);
    }
}

/// The tunnel's whole life.
async fn run<A: CallError>(tunnel: Arc<Supervisor<A>>, acceptors: Arc<Acceptors>) {
    let guard = EndGuard(tunnel.context().clone());
    let mut watching = JoinSet::new();
    watching.spawn(tunnel::watch(Arc::downgrade(&tunnel)));
    let end = tunnel.run().await;
    acceptors.shutdown().await;
    watching.shutdown().await;
    guard.0.end(end);
}
