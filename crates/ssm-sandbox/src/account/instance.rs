//! A managed instance, as a test describes it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::resolver;

/// The newest agent known.
pub(crate) const LATEST_AGENT: &str = "3.3.5068.0";

/// The operating system of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Platform {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) version: String,
}

/// A managed instance of the sandbox: its agent, and where the agent's connections really go.
#[derive(Debug, Clone)]
pub struct Instance {
    pub(crate) id: String,
    pub(crate) online: bool,
    pub(crate) connected: bool,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) registered_name: Option<String>,
    pub(crate) computer_name: String,
    pub(crate) ip_address: IpAddr,
    pub(crate) platform: Platform,
    pub(crate) agent_version: String,
    pub(crate) paced: bool,
    pub(crate) handshake_held: bool,
    pub(crate) handshake_timeout: Option<Duration>,
    pub(crate) dial_delay: Duration,
    pub(crate) password_data: Option<String>,
    /// Not running, as EC2 sees it.
    pub(crate) stopped: bool,
    destination: Option<SocketAddr>,
    hosts: BTreeMap<String, SocketAddr>,
    resolved: BTreeMap<String, Vec<IpAddr>>,
}

impl Instance {
    /// An online Windows instance with a current agent that works at the real agent's pace. Its
    /// computer name and address are its own, made of its id. Ports are those of this machine's
    /// loopback.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        let [.., third, fourth] = fingerprint(&id).to_be_bytes();
        Self {
            online: true,
            connected: true,
            tags: BTreeMap::new(),
            registered_name: None,
            computer_name: computer_name(&id),
            ip_address: Ipv4Addr::new(10, 0, third, fourth).into(),
            platform: Platform {
                kind: "Windows".to_owned(),
                name: "Microsoft Windows Server 2022 Datacenter".to_owned(),
                version: "10.0.20348".to_owned(),
            },
            id,
            agent_version: LATEST_AGENT.to_owned(),
            paced: true,
            handshake_held: false,
            handshake_timeout: None,
            dial_delay: Duration::ZERO,
            password_data: None,
            stopped: false,
            destination: None,
            hosts: BTreeMap::new(),
            resolved: BTreeMap::new(),
        }
    }

    /// Whether its agent is connected to Systems Manager: `PingStatus` is `Online`; otherwise
    /// `ConnectionLost`, and no session can be started. Default `true`.
    pub fn online(mut self, online: bool) -> Self {
        self.online = online;
        self
    }

    /// Whether EC2 has it `stopped` instead of `running`. Its agent is not online then. Default
    /// `false`.
    pub fn stopped(mut self, stopped: bool) -> Self {
        self.stopped = stopped;
        self
    }

    /// Whether an agent that is online also reaches `ssmmessages`: GetConnectionStatus says
    /// `connected`, else `notconnected`, and no session can be started. Default `true`.
    pub fn connected(mut self, connected: bool) -> Self {
        self.connected = connected;
        self
    }

    /// Its `Name` tag. Default: none.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.tag("Name", name)
    }

    /// Adds a tag, or changes its value.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// The name that a managed node (`mi-…`) was registered with. EC2 instances have none.
    pub fn registered_name(mut self, name: impl Into<String>) -> Self {
        self.registered_name = Some(name.into());
        self
    }

    /// The host name that its agent reports, with its domain if it has one.
    pub fn computer_name(mut self, name: impl Into<String>) -> Self {
        self.computer_name = name.into();
        self
    }

    /// The address that its agent reports.
    pub fn ip_address(mut self, address: IpAddr) -> Self {
        self.ip_address = address;
        self
    }

    /// What it runs: `PlatformType` (`Windows`, `Linux` or `MacOS`), `PlatformName` and
    /// `PlatformVersion`.
    pub fn platform(
        mut self,
        kind: impl Into<String>,
        name: impl Into<String>,
        version: impl Into<String>,
    ) -> Self {
        self.platform = Platform {
            kind: kind.into(),
            name: name.into(),
            version: version.into(),
        };
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

    /// The address that connections to any of the instance's ports are made to.
    pub fn destination(mut self, address: SocketAddr) -> Self {
        self.destination = Some(address);
        self
    }

    /// The address that connections to a remote host are made to; the port is replaced too.
    pub fn host(mut self, name: impl Into<String>, address: SocketAddr) -> Self {
        self.hosts.insert(resolver::bare(&name.into()), address);
        self
    }

    /// Adds an address that the instance's resolver answers for a name. The agent does not forward
    /// to a name with any address on its denylist: instance metadata and the VPC's own addresses
    /// (10.0.0.0/16 here), and, by its version, loopback, link-local addresses and the credential
    /// endpoints of containers. The address of the connection itself is set by [`host`](Self::host).
    pub fn resolves(mut self, name: impl Into<String>, address: IpAddr) -> Self {
        let name = resolver::bare(&name.into());
        self.resolved.entry(name).or_default().push(address);
        self
    }

    /// The agent keeps HandshakeComplete back until
    /// [`Sandbox::release_handshakes`](crate::Sandbox::release_handshakes).
    pub fn hold_handshake(mut self) -> Self {
        self.handshake_held = true;
        self
    }

    /// How long its agent waits for the client's answer to the handshake. Default: 15 s, as the real
    /// one.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = Some(timeout);
        self
    }

    /// How long each connection to the destination takes. The agent makes them one at a time.
    pub fn dial_delay(mut self, delay: Duration) -> Self {
        self.dial_delay = delay;
        self
    }

    /// Whether sessions can be started.
    pub(crate) fn is_reachable(&self) -> bool {
        self.is_online() && self.connected
    }

    /// Whether its agent is there.
    pub(crate) fn is_online(&self) -> bool {
        self.online && !self.stopped
    }

    /// What its resolver answers.
    pub(crate) fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let given = self.resolved.get(&resolver::bare(host));
        given.cloned().unwrap_or_else(|| resolver::addresses(host))
    }

    /// What EC2's GetPasswordData answers for it: the Administrator's password as the instance left
    /// it there, encrypted with its key pair's public key (RSA, PKCS #1 v1.5) and in Base64. Unset,
    /// the answer is empty, as before a Windows instance has made its password.
    pub fn password_data(mut self, base64: impl Into<String>) -> Self {
        self.password_data = Some(base64.into());
        self
    }

    pub(crate) fn resolve(&self, host: Option<&str>, port: u16) -> SocketAddr {
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        match host {
            Some(host) => self
                .hosts
                .get(&resolver::bare(host))
                .copied()
                .or(self.destination)
                .unwrap_or(local),
            None => self.destination.unwrap_or(local),
        }
    }
}

/// As EC2's images for Windows name themselves.
fn computer_name(id: &str) -> String {
    let digits: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let last = digits.iter().skip(digits.len().saturating_sub(7));
    format!("EC2AMAZ-{}", last.collect::<String>().to_ascii_uppercase())
}

/// FNV-1a: two ids that are alike have addresses that are not.
fn fingerprint(id: &str) -> u32 {
    id.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
