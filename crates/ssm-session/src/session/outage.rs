//! When to resume a session, and when to stop trying.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// A websocket on which the service was heard for this long ends the outage: the next loss begins another
/// one. Longer than an attempt takes (DNS, TLS, ResumeSession: a second or two), so that a path that
/// breaks each websocket at once stays one outage; shorter than the interval between pings (30 s), so
/// that an idle websocket was heard twice.
const STABLE: Duration = Duration::from_secs(10);
/// A websocket that carried this many messages for the first time made progress; fewer are those that any
/// websocket exchanges before it breaks. As many as a resumed session sends before the first
/// acknowledgement.
const CARRIES: u64 = 4;
/// Longest wait while websockets break soon and yet make progress: a transfer over such a path continues
/// with two websockets per second, well below what Systems Manager throttles.
const LONGEST_CARRYING: Duration = Duration::from_millis(500);

/// Websockets that break, from the first loss to the first websocket that lasts.
#[derive(Debug)]
pub(super) struct Outage {
    /// The budget counts from here.
    since: Instant,
    backoff: Backoff,
    /// The websocket lost last carried something.
    carried: bool,
    /// When the websocket was lost that the next one replaces.
    pub(super) interrupted_at: Instant,
    /// Why the last attempt failed.
    pub(super) reason: String,
    /// The service was heard again.
    pub(super) resumed: bool,
}

/// What a lost websocket achieved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served {
    /// From its opening to when the service was last heard on it.
    pub(super) lived: Duration,
    /// Messages that got through for the first time, either way.
    pub(super) carried: u64,
    /// There was something to carry.
    pub(super) wanted: bool,
}

impl Served {
    /// Whether it worked for a while, even if only pongs arrived.
    fn is_stable(&self) -> bool {
        self.lived >= STABLE && (self.carried > 0 || !self.wanted)
    }
}

impl Outage {
    pub(super) fn new(now: Instant, reason: String) -> Self {
        Self {
            since: now,
            backoff: Backoff::new(),
            carried: false,
            interrupted_at: now,
            reason,
            resumed: false,
        }
    }

    /// The outage after a websocket was lost, `before` being the one that it was opened in.
    pub(super) fn after(
        before: Option<Self>,
        served: Served,
        now: Instant,
        reason: String,
    ) -> Self {
        let Some(before) = before.filter(|_| !served.is_stable()) else {
            return Self::new(now, reason);
        };
        let carried = served.carried >= CARRIES;
        Self {
            since: if carried { now } else { before.since },
            backoff: before.backoff,
            carried,
            interrupted_at: if before.resumed {
                now
            } else {
                before.interrupted_at
            },
            reason,
            resumed: false,
        }
    }

    /// How long to wait before the next attempt; `None` when that exceeds the budget. `random` is in
    /// 0..=1.
    pub(super) fn next_wait(
        &mut self,
        now: Instant,
        budget: Option<Duration>,
        random: f64,
    ) -> Option<Duration> {
        let mut wait = self.backoff.next(random);
        if self.carried {
            wait = wait.min(LONGEST_CARRYING.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0));
        }
        let down = now.saturating_duration_since(self.since);
        let in_time = budget.is_none_or(|budget| down.saturating_add(wait) <= budget);
        in_time.then_some(wait)
    }

    /// The network may be another one now: the next attempts do not wait.
    pub(super) fn network_changed(&mut self) {
        self.backoff = Backoff::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Option<Duration> = Some(Duration::from_secs(600));
    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn served(lived: Duration, carried: u64) -> Served {
        Served {
            lived,
            carried,
            wanted: true,
        }
    }

    /// Websockets that all end this way: how many were opened within `time`, and whether the budget ended it.
    fn attempts(served: Served, time: Duration, random: f64) -> (usize, bool) {
        let start = start();
        let (mut now, mut outage, mut count) = (start, None, 0);
        while now - start < time {
            now += served.lived + SECOND / 1000;
            let mut next = Outage::after(outage.take(), served, now, String::new());
            let Some(wait) = next.next_wait(now, BUDGET, random) else {
                return (count, true);
            };
            now += wait;
            next.resumed = true;
            outage = Some(next);
            count += 1;
        }
        (count, false)
    }

    #[test]
    fn websockets_that_carry_one_message_back_off() {
        for random in [0.0, 0.5, 1.0] {
            let (count, over) = attempts(served(Duration::ZERO, 1), 15 * SECOND, random);
            assert!((4..12).contains(&count), "{count} in 15 s");
            assert!(!over);
            let (count, over) = attempts(served(Duration::ZERO, 1), 3600 * SECOND, random);
            assert!(count < 120, "{count} until the budget was used up");
            assert!(over, "one message a websocket keeps the budget running");
        }
    }

    #[test]
    fn transfer_over_short_lived_websockets_keeps_its_pace() {
        for random in [0.0, 0.5, 1.0] {
            let brief = served(Duration::from_millis(50), 8);
            let (count, over) = attempts(brief, 3600 * SECOND, random);
            assert!(!over, "the budget ended a transfer that made progress");
            assert!((6000..13_000).contains(&count), "{count} in an hour");
        }
    }

    #[test]
    fn a_websocket_that_lasted_starts_over() {
        let now = start();
        let mut outage = Outage::new(now, String::new());
        for _ in 0..10 {
            outage.next_wait(now, None, 1.0).expect("no budget");
        }
        let later = now + 3600 * SECOND;
        let idle = Served {
            lived: 30 * SECOND,
            carried: 0,
            wanted: false,
        };
        for lasted in [served(STABLE, 1), idle] {
            let mut next = Outage::after(
                Some(Outage::after(None, served(SECOND, 1), now, String::new())),
                lasted,
                later,
                String::new(),
            );
            assert_eq!(next.next_wait(later, BUDGET, 1.0), Some(Duration::ZERO));
        }
    }

    #[test]
    fn websocket_that_lasted_but_carried_nothing_is_no_fresh_start() {
        let now = start();
        let outage = Outage::new(now, String::new());
        let later = now + 700 * SECOND;
        let mut next = Outage::after(Some(outage), served(60 * SECOND, 0), later, String::new());
        assert_eq!(next.next_wait(later, BUDGET, 0.0), None);
    }

    #[test]
    fn resumption_is_timed_from_its_own_loss() {
        let now = start();
        let mut outage = Outage::new(now, String::new());
        let second = Outage::after(Some(outage), served(SECOND, 0), now + SECOND, String::new());
        assert_eq!(second.interrupted_at, now, "it was never heard in between");
        outage = second;
        outage.resumed = true;
        let third = Outage::after(
            Some(outage),
            served(SECOND, 1),
            now + 5 * SECOND,
            String::new(),
        );
        assert_eq!(third.interrupted_at, now + 5 * SECOND);
    }
}
