//! The agent's configuration: its version and limits, and the session that it serves.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ssm_protocol::payload::SessionProperties;

use super::denylist::Vpc;

/// How long the client may take to answer the handshake (`agent/session/datachannel/datachannel.go`
/// @1c217c89).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// The plugin that the session's document asks for (`agent/appconfig/constants.go` @1c217c89).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionType {
    /// Port forwarding and SSH.
    Port,
    /// A shell.
    StandardStream,
    /// One command on a terminal.
    InteractiveCommands,
    /// One command without a terminal.
    NonInteractiveCommands,
}

impl SessionType {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Port => "Port",
            Self::StandardStream => "Standard_Stream",
            Self::InteractiveCommands => "InteractiveCommands",
            Self::NonInteractiveCommands => "NonInteractiveCommands",
        }
    }

    /// Whether the agent asks for a handshake without a KMS key.
    pub fn requires_handshake(self) -> bool {
        matches!(self, Self::Port | Self::NonInteractiveCommands)
    }
}

/// Configures an [`Agent`](super::Agent). [`AgentConfig::new`] has the real one's values; fields can
/// be changed afterwards.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AgentConfig {
    /// The agent's version, which decides its behaviour.
    pub version: String,
    /// The session document's properties.
    pub properties: SessionProperties,
    /// The session document's plugin.
    pub session_type: SessionType,
    /// What the instance's resolver answers for the `host` of the properties.
    pub addresses: Vec<IpAddr>,
    /// The VPC that the instance is in.
    pub vpc: Vpc,
    /// How long the client may take to answer the handshake.
    pub handshake_timeout: Duration,
    /// Whether it sends at most one message a millisecond, as the real one does.
    pub paced: bool,
    /// HandshakeComplete waits for [`Agent::release_handshake`](super::Agent::release_handshake).
    pub handshake_held: bool,
    /// How long after sending HandshakeComplete the agent itself considers the handshake complete.
    /// Until then it discards data as too early.
    pub notices_after: Duration,
    /// How many bytes of all streams may wait for destinations before it stops reading.
    pub receive_buffer: usize,
}

impl AgentConfig {
    /// An agent that works at the real one's pace and limits.
    pub fn new(version: impl Into<String>, properties: SessionProperties) -> Self {
        Self {
            version: version.into(),
            properties,
            session_type: SessionType::Port,
            addresses: Vec::new(),
            vpc: Vpc {
                network: Ipv4Addr::new(10, 0, 0, 0),
                prefix: 16,
            },
            handshake_timeout: HANDSHAKE_TIMEOUT,
            paced: true,
            handshake_held: false,
            notices_after: Duration::from_millis(10),
            receive_buffer: 4 << 20,
        }
    }
}

/// Parses four numbers; an unreadable version counts as the oldest.
pub(super) fn parse_version(version: &str) -> [u32; 4] {
    let mut numbers = [0; 4];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        match part.parse() {
            Ok(parsed) => *number = parsed,
            Err(_) => return [0; 4],
        }
    }
    numbers
}
