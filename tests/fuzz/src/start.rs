use std::time::Instant;

/// An instant to count from; nothing depends on which.
pub(super) fn start() -> Instant {
    Instant::now()
}
