//! Stream ids.

use std::fmt;

/// Number of a stream within its session.
///
/// The client's streams have odd numbers from 3, the server's even ones from 2; no number is used twice
/// (`aws/amazon-ssm-agent` `vendor/github.com/xtaci/smux/session.go`
/// @1c217c89). 0 is not a stream: NOP frames carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u32);

impl StreamId {
    /// The id with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
