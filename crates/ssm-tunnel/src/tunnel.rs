use std::net::SocketAddr;

use ssm_relay::{End, Events, Listener, Relay, Stats, TunnelStream};

use crate::builder::TunnelBuilder;
use crate::error::Error;
use crate::started::StartedSession;

/// A running tunnel. Dropping it terminates its session in the background.
#[derive(Debug)]
pub struct Tunnel {
    relay: Relay,
    local_addr: SocketAddr,
    target: String,
}

impl Tunnel {
    /// A tunnel to `target`: an instance id `i-…`, a managed node `mi-…`, a container
    /// `ecs:CLUSTER_TASK_RUNTIMEID`, or the `Name` tag, computer name or private IP of one
    /// ([Targets](crate#targets)).
    pub fn builder(target: impl Into<String>) -> TunnelBuilder {
        TunnelBuilder::new(target.into())
    }

    /// A tunnel over a session that was started elsewhere. The session's document and parameters
    /// stand already: of the builder only the local port, [`sdk_config`](TunnelBuilder::sdk_config)
    /// (to sign, resume and terminate), the endpoints and the limits count.
    pub fn attach(session: StartedSession) -> TunnelBuilder {
        TunnelBuilder::attached(session)
    }

    pub(crate) fn new(relay: Relay, local_addr: SocketAddr, target: String) -> Self {
        Self {
            relay,
            local_addr,
            target,
        }
    }

    /// The id of what it leads to, where the builder was given a name or address too; empty when
    /// the session was started elsewhere.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Where local connections are accepted. Port 0 when the tunnel has no local port
    /// ([`TunnelBuilder::local_port`] was not called).
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The session's id, as the service lists it: of the last one, where a session that ended was
    /// followed by another ([`OnSessionEnd::Restart`](crate::OnSessionEnd::Restart)).
    pub fn session_id(&self) -> String {
        self.relay.session_id()
    }

    /// Waits until the agent is ready to forward.
    ///
    /// # Errors
    /// [`Error::Ended`] with why the session ended instead.
    pub async fn ready(&self) -> Result<(), Error> {
        self.relay.ready().await.map_err(Error::from)
    }

    /// Opens a connection to the destination, in process. Waits until the agent is ready.
    ///
    /// The agent reports a refused destination only afterwards: as an error of the stream's first
    /// read, and as [`Event::DestinationRefused`](crate::Event::DestinationRefused).
    ///
    /// # Errors
    /// When the tunnel has ended, or no session could be started for the connection (agents up to
    /// 3.0.196.0 and the SSH document carry one connection a session).
    pub async fn connect(&self) -> Result<TunnelStream, Error> {
        self.relay.connect().await.map_err(Error::from)
    }

    /// Accepts local connections on a further listener, until the tunnel is over:
    /// [`Listener::tcp`] or [`Listener::socket`].
    pub fn listen(&self, listener: Listener) {
        self.relay.listen(listener);
    }

    /// A property of the session document, such as `portNumber`, as the agent's handshake brought
    /// it; `None` before the agent was [`ready`](Self::ready).
    pub fn property(&self, name: &str) -> Option<String> {
        self.relay.property(name)
    }

    /// The tunnel's events: at the first call everything since it was opened, later from now on.
    pub fn events(&self) -> Events {
        self.relay.events()
    }

    /// What went through it so far: bytes, connections, resumes, round trip.
    pub fn stats(&self) -> Stats {
        self.relay.stats()
    }

    /// Waits for the end, and returns it where it was in order: [`End::Closed`], or
    /// [`End::ByService`] without a complaint.
    ///
    /// # Errors
    /// [`Error::Ended`] with what went wrong.
    pub async fn closed(&self) -> Result<End, Error> {
        in_order(self.relay.closed().await)
    }

    /// Delivers what is on its way, terminates the session and waits for the end: 10 s at
    /// most with the default [`Limits`](crate::Limits), whatever the network does.
    ///
    /// # Errors
    /// When the tunnel had ended before, with what went wrong.
    pub async fn close(&self) -> Result<End, Error> {
        in_order(self.relay.close().await)
    }
}

fn in_order(end: End) -> Result<End, Error> {
    if end.is_clean() {
        Ok(end)
    } else {
        Err(end.into())
    }
}
