use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A managed instance of the sandbox: its agent, and where the agent's connections really go.
#[derive(Debug, Clone)]
pub struct Instance {
    pub(crate) id: String,
    pub(crate) online: bool,
    pub(crate) agent_version: String,
    pub(crate) paced: bool,
    pub(crate) handshake_held: bool,
    pub(crate) dial_delay: Duration,
    destination: Option<SocketAddr>,
    hosts: BTreeMap<String, SocketAddr>,
}

impl Instance {
    /// An online instance with a current agent that works at the real agent's pace. Ports are
    /// those of this machine's loopback.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            online: true,
            agent_version: "3.3.4851.0".to_owned(),
            paced: true,
            handshake_held: false,
            dial_delay: Duration::ZERO,
            destination: None,
            hosts: BTreeMap::new(),
        }
    }

    /// Whether its agent is connected. Default `true`.
    pub fn online(mut self, online: bool) -> Self {
        self.online = online;
        self
    }

    /// Its agent's version, which decides what the agent does: up to 3.0.196.0 one connection a
    /// session, up to 3.1.1511.0 smux keep-alives, up to 2.3.722.0 no TerminateSession flag.
    pub fn agent_version(mut self, version: impl Into<String>) -> Self {
        self.agent_version = version.into();
        self
    }

    /// Whether the agent sends at most one message of 1024 bytes a millisecond, as the real one
    /// does. Default `true`; off, the client's own limits show.
    pub fn paced(mut self, paced: bool) -> Self {
        self.paced = paced;
        self
    }

    /// Where every port of the instance really leads.
    pub fn destination(mut self, address: SocketAddr) -> Self {
        self.destination = Some(address);
        self
    }

    /// Where a host, as seen from the instance, really is; the port is replaced too.
    pub fn host(mut self, name: impl Into<String>, address: SocketAddr) -> Self {
        self.hosts.insert(name.into(), address);
        self
    }

    /// The agent keeps HandshakeComplete back until
    /// [`Sandbox::release_handshakes`](crate::Sandbox::release_handshakes).
    pub fn hold_handshake(mut self) -> Self {
        self.handshake_held = true;
        self
    }

    /// How long each connection to the destination takes. The agent makes them one at a time.
    pub fn dial_delay(mut self, delay: Duration) -> Self {
        self.dial_delay = delay;
        self
    }

    pub(crate) fn resolve(&self, host: Option<&str>, port: u16) -> SocketAddr {
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        match host {
            Some(host) => self
                .hosts
                .get(host)
                .copied()
                .or(self.destination)
                .unwrap_or(local),
            None => self.destination.unwrap_or(local),
        }
    }
}

/// A session document.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Parameters that may be given, with whether they must be.
    pub(crate) parameters: Vec<(&'static str, bool)>,
    /// `type` property; `None` for the SSH document.
    pub(crate) forwarding: bool,
}

impl Document {
    pub(crate) fn custom() -> Self {
        Self {
            parameters: vec![
                ("host", false),
                ("portNumber", false),
                ("localPortNumber", false),
                ("localConnectionType", false),
                ("localUnixSocket", false),
            ],
            forwarding: true,
        }
    }

    pub(crate) fn standard() -> BTreeMap<String, Self> {
        let port = Self {
            parameters: vec![("portNumber", false), ("localPortNumber", false)],
            forwarding: true,
        };
        let remote = Self {
            parameters: vec![
                ("host", true),
                ("portNumber", false),
                ("localPortNumber", false),
            ],
            forwarding: true,
        };
        let ssh = Self {
            parameters: vec![("portNumber", false)],
            forwarding: false,
        };
        [
            ("AWS-StartPortForwardingSession", port),
            ("AWS-StartPortForwardingSessionToRemoteHost", remote),
            ("AWS-StartSSHSession", ssh),
        ]
        .map(|(name, document)| (name.to_owned(), document))
        .into()
    }
}
