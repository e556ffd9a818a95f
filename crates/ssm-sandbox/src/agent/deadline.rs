//! Deadlines that do not overflow, however long the wait.

use std::time::{Duration, Instant};

/// `at + wait`, or in thirty years where that is later or the clock cannot express it.
pub(crate) fn after(at: Instant, wait: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);
    at.checked_add(wait.min(NEVER)).unwrap_or(at)
}
