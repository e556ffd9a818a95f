//! What a session reports to the application.

use std::fmt;

use bytes::Bytes;

use crate::payload::{Flag, SessionProperties};
use crate::version::Capabilities;
use crate::wire::PayloadType;

/// What the session reports to the application. `Debug` shows lengths instead of bytes.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The handshake is complete and the agent keeps data: sending may begin.
    Ready(Ready),
    /// Bytes from the port, in order. They are acknowledged already.
    Data(Bytes),
    /// The peer sent a flag.
    Flag(Flag),
    /// A payload of any other type, in the same order.
    Other(PayloadType, Bytes),
    /// The service ended the session (`channel_closed`).
    ChannelClosed {
        /// Text for the user; may be empty. An agent that failed to start its port says why here.
        output: String,
    },
    /// The other side's channel became inactive (`pause_publication`): new data waits.
    Paused,
    /// The pause ended: by `start_publication`, by any other message of the peer, or by a new websocket.
    Started,
}

impl SessionEvent {
    /// The event of a stream-data message behind the handshake. A payload type that needs an event of
    /// its own gets it here; every other one is passed on as [`Other`](Self::Other).
    pub(crate) fn from_payload(kind: PayloadType, payload: Bytes) -> Self {
        match kind {
            PayloadType::Output => Self::Data(payload),
            PayloadType::Flag => match Flag::read(&payload) {
                Some(flag) => Self::Flag(flag),
                None => Self::Other(kind, payload),
            },
            _ => Self::Other(kind, payload),
        }
    }
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

/// The outcome of the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// The peer's version: the agent's for a client, the client's for an agent.
    pub peer_version: String,
    /// What the agent can do in this session.
    pub capabilities: Capabilities,
    /// The session document's properties.
    pub properties: SessionProperties,
    /// The account's text for its users, to be shown; may be empty.
    pub customer_message: String,
}
