mod connection;
mod session;
mod sessions;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::{ApiError, SessionApi};
use crate::clock::Clock;
use crate::config::Limits;
use crate::error::{End, OpenError};
use crate::event::{Event, EventSender, Events};
use crate::listener::Listener;
use crate::net::proxy::Proxy;
use crate::net::signer::Signer;
use crate::net::stream_url::StreamEndpoint;
use crate::net::tls::CaBundle;
use crate::net::websocket::Connector;
use crate::stats::Stats;
use crate::stream::TunnelStream;
use crate::supervisor::{Supervisor, begin};
pub(crate) use connection::Connection;
pub(crate) use session::SessionHandle;
pub(crate) use sessions::Sessions;

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

impl Relay {
    /// Starts a session and, if there is a listener, accepts local connections.
    ///
    /// Returns as soon as StartSession answered; the websocket and the handshake go on meanwhile,
    /// and connections made before they are through are held. [`ready`](Self::ready) waits for
    /// them.
    ///
    /// # Errors
    /// When StartSession failed, or [`Limits::max_payload`] is too small; then nothing was started.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(
        config: RelayConfig,
        api: Arc<dyn SessionApi>,
        listener: Option<Listener>,
    ) -> Result<Self, ApiError> {
        config.limits.check().map_err(ApiError::fatal)?;
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
        let first = Sessions::start(&parts, ticket, guard, false);
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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
