//! Why a session, an `open` or a `write` fails.

use std::time::Duration;

use thiserror::Error;

/// Why a session failed. Every variant is final: open another session.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SmuxError {
    /// The version in a frame of the peer is not 1: the peer speaks another protocol, or the transport
    /// lost bytes.
    #[error("the peer sent smux version {found} where 1 was expected")]
    Version {
        /// The byte found.
        found: u8,
    },
    /// The command in a frame of the peer is not part of version 1.
    #[error("the peer sent command {found}, which smux version 1 does not know")]
    Command {
        /// The byte found.
        found: u8,
    },
    /// The peer opens streams beyond the limit faster than they can be refused.
    #[error("the peer keeps opening streams beyond the limit of {limit}")]
    TooManyStreams {
        /// [`MuxConfig::max_streams`](crate::MuxConfig::max_streams).
        limit: usize,
    },
    /// Keep-alives are on, and the peer was silent for too long.
    #[error("nothing was heard of the smux peer for {after:?}")]
    Silent {
        /// The limit that passed.
        after: Duration,
    },
    /// The session had failed already.
    #[error("the smux session has failed before")]
    Dead,
}

/// Why no stream was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// [`MuxConfig::max_streams`](crate::MuxConfig::max_streams) streams are open: close some first.
    #[error("too many streams are open")]
    TooManyStreams,
    /// All 2^31 - 1 stream ids are used up: open another session.
    #[error("the session has no stream ids left")]
    Exhausted,
    /// The session failed: open another.
    #[error("the smux session has failed")]
    Dead,
}

/// Why data was not queued. None of it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It does not fit now: [`MuxEvent::Writable`](crate::MuxEvent::Writable) follows.
    #[error("the stream's send buffer is full")]
    Full,
    /// It is longer than [`MuxConfig::stream_send_buffer`](crate::MuxConfig::stream_send_buffer) and will
    /// never fit: split it by [`Mux::writable`](crate::Mux::writable).
    #[error("the data is longer than the stream's send buffer")]
    TooLong,
    /// The stream was finished, closed or reset by either side, or the session failed.
    #[error("the stream takes no more data")]
    Closed,
}
