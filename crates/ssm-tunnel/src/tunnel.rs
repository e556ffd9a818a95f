//! A running tunnel.

use std::net::SocketAddr;
use std::sync::Arc;

use ssm_relay::{Events, Listener, Relay, Stats};

use crate::builder::started::StartedSession;
use crate::builder::{AttachBuilder, TunnelBuilder};
use crate::error::{End, Error, ServiceError};

/// A connection to the destination, in process: no local port. It implements tokio's `AsyncRead` and
/// `AsyncWrite`; see [`ssm_relay::TunnelStream`] for what dropping and shutting it down do.
pub type TunnelStream = ssm_relay::TunnelStream<Arc<ServiceError>>;

/// A running tunnel. Dropping it terminates its session in the background.
#[derive(Debug)]
pub struct Tunnel {
    relay: Relay<Arc<ServiceError>>,
    local_addr: Option<SocketAddr>,
    destination: Destination,
}

/// Where a tunnel leads, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Destination {
    pub(crate) target: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
}

impl Tunnel {
    /// A tunnel to `target`: an instance id `i-…`, a managed node `mi-…`, a container
    /// `ecs:CLUSTER_TASK_RUNTIMEID`, or the `Name` tag, computer name or private IP address of one
    /// ([Targets](crate#targets)).
    pub fn builder(target: impl Into<String>) -> TunnelBuilder {
        TunnelBuilder::new(target.into())
    }

    /// A tunnel over a session that was started elsewhere:
    ///
    /// ```no_run
    /// # async fn run(config: aws_config::SdkConfig, answer: &str) -> Result<(), ssm_tunnel::Error> {
    /// use ssm_tunnel::{StartedSession, Tunnel};
    ///
    /// let session = StartedSession::from_json(answer)?; // of `aws ssm start-session`'s API call
    /// let tunnel = Tunnel::attach(session).local_port(5432).sdk_config(&config).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn attach(session: StartedSession) -> AttachBuilder {
        AttachBuilder::new(session)
    }

    pub(crate) fn new(
        relay: Relay<Arc<ServiceError>>,
        local_addr: Option<SocketAddr>,
        destination: Destination,
    ) -> Self {
        Self {
            relay,
            local_addr,
            destination,
        }
    }

    /// The target's id, also where the builder was given a name or address; `None` for a session
    /// that was started elsewhere.
    pub fn target(&self) -> Option<&str> {
        self.destination.target.as_deref()
    }

    /// The host behind the target; `None` for the target itself, and for a session that was started
    /// elsewhere.
    pub fn remote_host(&self) -> Option<&str> {
        self.destination.host.as_deref()
    }

    /// The port of the destination; `None` where the session document decides it, and for a session
    /// that was started elsewhere ([`property`](Self::property) may know it).
    pub fn remote_port(&self) -> Option<u16> {
        self.destination.port
    }

    /// Where local connections are accepted; `None` without a local port
    /// ([`TunnelBuilder::local_port`]) and on a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// The session's id as the service lists it: the latest one, where a session that ended was
    /// replaced by another ([`OnSessionEnd::Restart`](crate::OnSessionEnd::Restart)).
    pub fn session_id(&self) -> String {
        self.relay.session_id()
    }

    /// Waits until the agent is ready to forward.
    ///
    /// # Errors
    /// [`Error::Ended`] with why the session ended instead.
    pub async fn ready(&self) -> Result<(), Error> {
        self.relay.ready().await.map_err(ended)
    }

    /// Opens a connection to the destination, in process. Waits until the agent is ready.
    ///
    /// The agent reports a refused destination only afterwards: as an error of the stream's first
    /// read, and as [`Event::DestinationRefused`](crate::Event::DestinationRefused).
    ///
    /// # Errors
    /// When the tunnel has ended, or no session could be started for the connection (agents up to
    /// 3.0.196.0 and the SSH document carry one connection per session).
    pub async fn connect(&self) -> Result<TunnelStream, Error> {
        self.relay.connect().await.map_err(Error::from_open)
    }

    /// Accepts local connections on a further listener until the tunnel ends:
    /// [`Listener::tcp`] or [`Listener::socket`].
    pub fn listen(&self, listener: Listener) {
        self.relay.listen(listener);
    }

    /// A property of the session document, such as `portNumber`, from the agent's handshake; `None`
    /// before the agent is [`ready`](Self::ready).
    pub fn property(&self, name: &str) -> Option<String> {
        self.relay.property(name)
    }

    /// The tunnel's events: the first call gets all events since it was opened, later calls only new
    /// ones.
    pub fn events(&self) -> Events {
        self.relay.events()
    }

    /// Counters since it was opened: bytes, connections, sessions, resumptions; and the round trip.
    pub fn stats(&self) -> Stats {
        self.relay.stats()
    }

    /// Waits for the end, and returns it if it was in order ([`End::is_clean`]): closed as asked, or
    /// by the service without a complaint.
    ///
    /// # Errors
    /// [`Error::Ended`] with the cause.
    pub async fn closed(&self) -> Result<End, Error> {
        in_order(self.relay.closed().await)
    }

    /// Delivers data on its way, terminates the session and waits for the end: at most 10 s with the
    /// default [`Limits`](crate::Limits), whatever the network does.
    ///
    /// # Errors
    /// [`Error::Ended`] with the cause, if the tunnel had failed before.
    pub async fn close(&self) -> Result<End, Error> {
        in_order(self.relay.close().await)
    }
}

fn ended(end: ssm_relay::End<Arc<ServiceError>>) -> Error {
    Error::Ended(End::new(end))
}

fn in_order(end: ssm_relay::End<Arc<ServiceError>>) -> Result<End, Error> {
    match end.is_clean() {
        true => Ok(End::new(end)),
        false => Err(ended(end)),
    }
}
