//! A clock that stands still while the machine sleeps.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

/// A process that did not read its clock for so long was not running.
const ASLEEP: Duration = Duration::from_secs(10);

/// Time as a running program sees it.
///
/// A laptop that sleeps, or a process that is stopped, must not find on waking that every deadline
/// has passed. Whether the system's monotonic clock advances meanwhile differs: on Windows and for
/// stopped processes it does; on Linux and macOS it stands still while the machine sleeps, and only
/// the wall clock shows the sleep. Either way [`wakes`](Self::wakes) counts it.
#[derive(Debug)]
pub struct Clock {
    state: Mutex<State>,
    wall: fn() -> SystemTime,
    wakes: watch::Sender<u64>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    last: Instant,
    last_wall: SystemTime,
    slept: Duration,
}

impl Clock {
    /// [`now`](Self::now) must be called at least this often, or the time in between may count as sleep.
    pub const TICK: Duration = Duration::from_secs(2);

    pub(crate) fn new() -> Self {
        Self::with_wall(SystemTime::now)
    }

    fn with_wall(wall: fn() -> SystemTime) -> Self {
        Self {
            state: Mutex::new(State {
                last: monotonic(),
                last_wall: wall(),
                slept: Duration::ZERO,
            }),
            wall,
            wakes: watch::Sender::new(0),
        }
    }

    /// The time, without that for which nothing ran.
    pub fn now(&self) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, last_wall) = (state.last, state.last_wall);
        // Read under the lock, so that it never goes back.
        state.last = monotonic();
        state.last_wall = (self.wall)();
        let passed = state.last.saturating_duration_since(last);
        let wall = state.last_wall.duration_since(last_wall);
        if passed >= ASLEEP {
            state.slept += passed;
            self.wakes.send_modify(|count| *count += 1);
        } else if wall.unwrap_or_default() >= passed + ASLEEP {
            self.wakes.send_modify(|count| *count += 1);
        }
        state.last.checked_sub(state.slept).unwrap_or(state.last)
    }

    /// When the runtime's timers have to fire for a time of this clock.
    pub(crate) fn alarm(&self, at: Instant) -> tokio::time::Instant {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        at.checked_add(state.slept).unwrap_or(at).into()
    }

    /// How often the machine slept so far.
    pub fn wakes(&self) -> u64 {
        *self.wakes.borrow()
    }

    /// Completes when the machine has slept more often than this.
    pub(crate) async fn woken(&self, since: u64) {
        let mut wakes = self.wakes.subscribe();
        // The sender lives as long as the clock.
        let _ = wakes.wait_for(|count| *count > since).await;
    }
}

/// `at + wait`, or in thirty years where that is later or the clock cannot express it.
pub(crate) fn after(at: Instant, wait: Duration) -> Instant {
    // Thirty years, as in tokio's own far future.
    const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);
    at.checked_add(wait.min(NEVER)).unwrap_or(at)
}

/// Tokio's clock, so that tests can pause it.
fn monotonic() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_for_which_nothing_ran_does_not_count() {
        let clock = Clock::new();
        let start = clock.now();
        for _ in 0..5 {
            tokio::time::advance(Clock::TICK).await;
            clock.now();
        }
        assert_eq!(clock.now() - start, 5 * Clock::TICK);
        assert_eq!(clock.wakes(), 0);
        tokio::time::advance(Duration::from_secs(8 * 3600)).await;
        assert_eq!(clock.now() - start, 5 * Clock::TICK);
        assert_eq!(clock.wakes(), 1);
        tokio::time::advance(Clock::TICK).await;
        assert_eq!(clock.now() - start, 6 * Clock::TICK);
        let alarm = clock.alarm(clock.now() + Clock::TICK);
        assert_eq!(alarm - tokio::time::Instant::now(), Clock::TICK);
        assert_eq!(clock.wakes(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn wall_clock_reveals_a_sleep_of_the_monotonic_clock() {
        static WALL: AtomicU64 = AtomicU64::new(1_000_000);
        let clock = Clock::with_wall(|| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(WALL.load(Ordering::SeqCst))
        });
        let start = clock.now();
        // A clock that is set right by a little, or back, is no sleep.
        for wall in [1_000_005, 900_000] {
            WALL.store(wall, Ordering::SeqCst);
            assert_eq!(clock.now(), start);
            assert_eq!(clock.wakes(), 0);
        }
        WALL.store(928_800, Ordering::SeqCst);
        let woken = clock.woken(0);
        assert_eq!(clock.now(), start);
        woken.await;
        assert_eq!(clock.wakes(), 1);
    }
}
