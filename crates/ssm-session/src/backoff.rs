//! Waits between attempts.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);

/// Waits between attempts: none before the first, then growing from 250 ms to 15 s, with jitter so that
/// many sessions that are cut off at once do not come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    attempt: u32,
}

impl Backoff {
    /// Begins without a wait.
    pub fn new() -> Self {
        Self { attempt: 0 }
    }

    /// The wait before the next attempt; `random` is in 0..=1.
    pub fn next(&mut self, random: f64) -> Duration {
        let attempt = self.attempt;
        self.attempt = self.attempt.saturating_add(1);
        if attempt == 0 {
            return Duration::ZERO;
        }
        let longest = FIRST
            .saturating_mul(1 << (attempt - 1).min(16))
            .min(LONGEST);
        longest.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_grows_with_jitter_up_to_a_limit() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.next(1.0), Duration::ZERO);
        assert_eq!(backoff.next(1.0), FIRST);
        assert_eq!(backoff.next(0.0), FIRST);
        for _ in 0..40 {
            assert!(backoff.next(0.3) <= LONGEST);
        }
        assert_eq!(backoff.next(1.0), LONGEST);
    }
}
