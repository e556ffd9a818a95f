//! How a line is read.

/// Longest line that is read.
pub(super) const MAX_LINE: usize = 256;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) hide: bool,
    pub(super) cancel_on_signal: bool,
}
