//! How the agent and its driver refer to a destination's connections.

use bytes::Bytes;

/// A connection to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u32);

/// What the driver does for a connection's destination.
#[derive(Debug, PartialEq, Eq)]
pub enum ToDestination {
    /// Write this.
    Data(Bytes),
    /// Nothing for now.
    Nothing,
    /// Close it, both ways, and say so with [`Agent::closed`](super::Agent::closed).
    Close,
}
