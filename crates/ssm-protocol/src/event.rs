use std::fmt;

use bytes::Bytes;

use crate::payload::{Flag, SessionProperties};
use crate::version::Capabilities;
use crate::wire::PayloadType;

/// A fact for the application. `Debug` shows lengths, not bytes.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The handshake is complete: data may flow.
    Ready(Ready),
    /// Bytes of the port, in order, already acknowledged.
    Data(Bytes),
    /// The peer sent a flag.
    Flag(Flag),
    /// The peer sent a payload of another type, in order.
    Other(PayloadType, Bytes),
    /// The service says that the session is over, with a text for the user that may be empty.
    ChannelClosed {
        /// The text.
        output: String,
    },
    /// The other side's channel is inactive: nothing new is sent for now.
    Paused,
    /// The other side's channel is active again, or a new websocket ended the pause.
    Started,
}

impl fmt::Debug for SessionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(ready) => f.debug_tuple("Ready").field(ready).finish(),
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::Flag(flag) => f.debug_tuple("Flag").field(flag).finish(),
            Self::Other(kind, data) => write!(f, "Other({kind:?}, {} bytes)", data.len()),
            Self::ChannelClosed { output } => f
                .debug_struct("ChannelClosed")
                .field("output", output)
                .finish(),
            Self::Paused => f.write_str("Paused"),
            Self::Started => f.write_str("Started"),
        }
    }
}

/// What the handshake settled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// The peer's version: the agent's for a client, the client's for an agent.
    pub peer_version: String,
    /// What the agent can do in this session.
    pub capabilities: Capabilities,
    /// The session document's properties.
    pub properties: SessionProperties,
    /// The account's text for its users, may be empty: show it.
    pub customer_message: String,
}
