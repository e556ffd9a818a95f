//! The round-trip time and the retransmission timeout.

use std::time::Duration;

/// Timeout before the first sample, as in both reference peers.
const INITIAL_TIMEOUT: Duration = Duration::from_millis(200);
/// Minimum timeout: both reference peers look for overdue messages every 100 ms.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);
/// Minimum of the variance term, as in both reference peers.
const GRANULARITY: Duration = Duration::from_millis(10);
/// Maximum timeout, back-off included. The reference peers stop at 1 s, and so resend everything on
/// slower paths.
const MAX_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum timeout before the handshake is complete. The agent waits 15 s for the response; a longer
/// back-off would leave a few attempts instead of fifteen.
const MAX_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Smoothed round-trip time and the retransmission timeout derived from it (RFC 6298).
#[derive(Debug, Default)]
pub(super) struct Rtt {
    smoothed: Option<Duration>,
    variance: Duration,
    backoff: u32,
    /// Whether [`MAX_TIMEOUT`] applies: the handshake is complete.
    patient: bool,
}

impl Rtt {
    /// Adds the round-trip time of a message that was transmitted exactly once (Karn's algorithm).
    ///
    /// Only such a sample ends the back-off. If the acknowledgement of a retransmitted message did, a
    /// path slower than the timeout would retransmit everything and never be measured.
    pub(super) fn sample(&mut self, rtt: Duration) {
        self.backoff = 0;
        let Some(smoothed) = self.smoothed else {
            self.smoothed = Some(rtt);
            self.variance = rtt / 2;
            return;
        };
        self.variance = self.variance * 3 / 4 + smoothed.abs_diff(rtt) / 4;
        self.smoothed = Some(smoothed * 7 / 8 + rtt / 8);
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The retransmission timeout, back-off included.
    pub(super) fn timeout(&self) -> Duration {
        self.base()
            .saturating_mul(1 << self.backoff.min(8))
            .min(if self.patient {
                MAX_TIMEOUT
            } else {
                MAX_HANDSHAKE_TIMEOUT
            })
    }

    /// The retransmission timeout without back-off.
    pub(super) fn base(&self) -> Duration {
        match self.smoothed {
            None => INITIAL_TIMEOUT,
            Some(smoothed) => (smoothed + (self.variance * 4).max(GRANULARITY)).max(MIN_TIMEOUT),
        }
    }

    /// A timeout passed: doubles the next one.
    pub(super) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// The agent's time limit for the handshake no longer applies.
    pub(super) fn handshake_complete(&mut self) {
        self.patient = true;
    }

    /// On a new websocket, timeouts on the old one do not count.
    pub(super) fn restart(&mut self) {
        self.backoff = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn follows_rfc_6298() {
        let mut rtt = Rtt::default();
        rtt.handshake_complete();
        assert_eq!(rtt.timeout(), 200 * MS);
        rtt.sample(400 * MS);
        assert_eq!(rtt.timeout(), 1200 * MS); // 400 + 4 * 200
        rtt.sample(400 * MS);
        assert_eq!(rtt.timeout(), 1000 * MS); // 400 + 4 * 150
    }

    #[test]
    fn backs_off_exponentially_up_to_a_limit_until_the_next_sample() {
        let mut rtt = Rtt::default();
        rtt.handshake_complete();
        let waits: Vec<_> = (0..6)
            .map(|_| {
                rtt.back_off();
                rtt.timeout()
            })
            .collect();
        assert_eq!(
            waits,
            [
                400 * MS,
                800 * MS,
                1600 * MS,
                3200 * MS,
                5000 * MS,
                5000 * MS
            ]
        );
        rtt.sample(400 * MS);
        assert_eq!(rtt.timeout(), 1200 * MS);
    }
}
