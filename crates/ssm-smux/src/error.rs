use std::time::Duration;

use thiserror::Error;

/// Why a multiplexer cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SmuxError {
    /// The peer's frame has another version than 1.
    #[error("smux version {found} instead of 1")]
    Version {
        /// The byte found.
        found: u8,
    },
    /// The peer's frame has a command that version 1 does not know.
    #[error("smux command {found} is unknown in version 1")]
    Command {
        /// The byte found.
        found: u8,
    },
    /// Keep-alives are on and nothing was heard of the peer.
    #[error("nothing was heard of the smux peer for {after:?}")]
    Silent {
        /// The limit that passed.
        after: Duration,
    },
    /// An earlier error was ignored.
    #[error("the smux session has failed before")]
    Dead,
}

/// Why no stream was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// [`Config::max_streams`](crate::Config::max_streams) are open.
    #[error("too many streams are open")]
    TooManyStreams,
    /// All 2^31 stream ids were used.
    #[error("the session has no stream ids left")]
    Exhausted,
    /// The session failed.
    #[error("the smux session has failed")]
    Dead,
}

/// Why data was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The stream's send buffer is full: [`Event::Writable`](crate::Event::Writable) follows.
    #[error("the stream's send buffer is full")]
    Full,
    /// The stream was finished, closed or reset, by either side.
    #[error("the stream takes no more data")]
    Closed,
}
