//! What comes out of a port forward.

use bytes::Bytes;
use ssm_smux::StreamId;

/// What happened, from [`PortForward::poll_event`](crate::PortForward::poll_event).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardEvent {
    /// The handshake is complete: streams may be opened.
    Ready,
    /// This stream has data or has ended: see [`PortForward::read`](crate::PortForward::read).
    Readable(StreamId),
    /// [`PortForward::writable`](crate::PortForward::writable) has room again.
    Writable(StreamId),
    /// The agent could not connect a stream to the destination. The stream itself reads
    /// [`StreamRead::Refused`] where the agent says which it is.
    Refused,
    /// The service ended the session.
    ChannelClosed {
        /// Why, in the service's or the agent's words; empty for an ordinary end.
        output: String,
    },
    /// The service paused publication (`true`), because the agent's websocket is away, or started
    /// it again (`false`).
    Paused(bool),
}

/// What [`PortForward::read`](crate::PortForward::read) found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamRead {
    /// The next bytes, at least one.
    Data(Bytes),
    /// Nothing now; [`ForwardEvent::Readable`] follows.
    Blocked,
    /// The destination closed in order.
    Finished,
    /// The destination refused the connection.
    Refused,
    /// The agent may have passed on some of what was written twice: the stream is unusable.
    Doubled,
    /// The stream is gone.
    Reset,
}
