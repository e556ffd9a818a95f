use std::time::Duration;

use thiserror::Error;

/// Why a session cannot go on. Every one is final: open another session.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SmuxError {
    /// The peer's frame has another version than 1: it speaks something else, or bytes were lost
    /// below.
    #[error("the peer sent smux version {found} where 1 was expected")]
    Version {
        /// The byte found.
        found: u8,
    },
    /// The peer's frame has a command that version 1 does not know.
    #[error("the peer sent command {found}, which smux version 1 does not know")]
    Command {
        /// The byte found.
        found: u8,
    },
    /// The peer opens streams faster than they can be refused.
    #[error("the peer keeps opening streams beyond the limit of {limit}")]
    TooManyStreams {
        /// [`MuxConfig::max_streams`](crate::MuxConfig::max_streams).
        limit: usize,
    },
    /// Keep-alives are on and nothing was heard of the peer.
    #[error("nothing was heard of the smux peer for {after:?}")]
    Silent {
        /// The limit that passed.
        after: Duration,
    },
    /// The session failed before, and the caller went on.
    #[error("the smux session has failed before")]
    Dead,
}

/// Why no stream was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// [`MuxConfig::max_streams`](crate::MuxConfig::max_streams) are open: close some first.
    #[error("too many streams are open")]
    TooManyStreams,
    /// All 2^31 - 1 stream ids were used: open another session.
    #[error("the session has no stream ids left")]
    Exhausted,
    /// The session failed: open another.
    #[error("the smux session has failed")]
    Dead,
}

/// Why data was not taken. None of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It does not fit now: [`MuxEvent::Writable`](crate::MuxEvent::Writable) follows.
    #[error("the stream's send buffer is full")]
    Full,
    /// It is longer than [`MuxConfig::stream_send_buffer`](crate::MuxConfig::stream_send_buffer) and would
    /// never fit: cut it by [`Mux::writable`](crate::Mux::writable).
    #[error("the data is longer than the stream's send buffer")]
    TooLong,
    /// The stream was finished, closed or reset by either side, or the session failed.
    #[error("the stream takes no more data")]
    Closed,
}
