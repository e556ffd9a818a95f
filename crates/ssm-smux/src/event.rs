//! What is reported about streams, and what a read returns.

use std::fmt;

use bytes::Bytes;

use crate::stream_id::StreamId;

/// What happened to a stream that is not closed on this side. Each kind is queued at most once per
/// stream, so the queue is bounded by the number of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MuxEvent {
    /// The peer opened the stream; [`Mux::accept`](crate::Mux::accept) returns the same ids.
    Opened(StreamId),
    /// [`Mux::read`](crate::Mux::read) has data. Not repeated until a read returns [`Read::Blocked`].
    Readable(StreamId),
    /// After [`WriteError::Full`](crate::WriteError::Full) or a
    /// [`Mux::writable`](crate::Mux::writable) of 0: half of the send buffer is free again.
    Writable(StreamId),
    /// The peer ended the stream and takes no more data. What arrived before can still be read.
    Finished(StreamId),
    /// Half-closed for [`MuxConfig::half_close_quiet`](crate::MuxConfig::half_close_quiet) without data:
    /// FIN is sent although the peer has not sent its own. The peer answers with FIN, so the stream ends
    /// like any other, but a later answer is cut off.
    GaveUp(StreamId),
}

/// Events of one stream that the owner has not polled yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PendingEvents {
    pub(crate) opened: bool,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) gave_up: bool,
    pub(crate) finished: bool,
}

impl PendingEvents {
    /// The next event, in the order of a stream's life.
    pub(crate) fn take(&mut self, id: StreamId) -> Option<MuxEvent> {
        let pending = [
            (&mut self.opened, MuxEvent::Opened(id)),
            (&mut self.readable, MuxEvent::Readable(id)),
            (&mut self.writable, MuxEvent::Writable(id)),
            (&mut self.gave_up, MuxEvent::GaveUp(id)),
            (&mut self.finished, MuxEvent::Finished(id)),
        ];
        pending
            .into_iter()
            .find_map(|(pending, event)| std::mem::take(pending).then_some(event))
    }
}

/// What [`Mux::read`](crate::Mux::read) found.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Read {
    /// The next bytes; never empty.
    Data(Bytes),
    /// Nothing yet: [`MuxEvent::Readable`] or [`MuxEvent::Finished`] follows.
    Blocked,
    /// The peer ended the stream and everything was read.
    Finished,
    /// The session failed before the peer ended the stream: the data is incomplete.
    Reset,
    /// No such stream: it was never opened, or was closed or reset on this side.
    Unknown,
}

/// Shows the length of data only.
impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
            Self::Blocked => f.write_str("Blocked"),
            Self::Finished => f.write_str("Finished"),
            Self::Reset => f.write_str("Reset"),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}
