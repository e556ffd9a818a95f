use std::time::{Duration, Instant};

/// How long the websocket is left unread while a download comes message by message.
///
/// The agent repeats its oldest message when the acknowledgement takes longer than the smoothed round
/// trip and the larger of 10 ms and four times its variation (`calculateRetransmissionTimeout` in the
/// agent's datachannel.go, `ClockGranularity` in its config.go; it looks every 100 ms). A round trip
/// that never varied leaves 10 ms: this rest, and as much to be late.
const REST: Duration = Duration::from_millis(5);
/// Whether a timer ends a rest on time. On Windows timers are as coarse as 15.6 ms, and what arrives
/// ends no rest either: a socket that is not read tells of the first arrival only (mio 1.2,
/// `SockState::feed_event` in `sys/windows/selector.rs`).
const ENDS_ON_TIME: bool = cfg!(not(windows));
/// Reads in a row that must each have found little but full messages before the next is put off.
const STREAK: u32 = 16;
/// A read that finds more messages than this has work enough.
const FEW: usize = 16;
/// Bytes of a message that the agent filled: the header and 1024 bytes of payload. After one that is
/// not full there may be nothing more to wait for.
const FULL: usize = ssm_protocol::wire::PAYLOAD_OFFSET + 1024;

/// Whether to read the websocket at once or in a moment, so that one acknowledging write and one
/// local write do for several messages: interrupt coalescing, as network cards do it.
///
/// The agent sends a message of 1 KiB a millisecond, and each by itself costs four system calls and a
/// wake.
/// Only a long download with nothing else going on is put off: while anything that we sent is
/// unacknowledged, every answer is read as it comes. On Windows everything is.
#[derive(Debug, Default)]
pub(crate) struct Coalesce {
    /// Messages of the read that is going on, and whether the last one was full.
    read: usize,
    full: bool,
    streak: u32,
    until: Option<Instant>,
}

impl Coalesce {
    /// A message of so many bytes was read.
    pub(crate) fn saw(&mut self, bytes: usize) {
        self.read += 1;
        self.full = bytes >= FULL;
    }

    /// All that was there is read.
    pub(crate) fn drained(&mut self, now: Instant) {
        let read = std::mem::take(&mut self.read);
        if read == 0 {
            return;
        }
        self.streak = if self.full && read <= FEW {
            self.streak.saturating_add(1)
        } else {
            0
        };
        let rests = ENDS_ON_TIME && self.streak >= STREAK;
        self.until = rests.then(|| now + REST);
    }

    /// Until when not to read, given whether anything that was sent is unacknowledged.
    pub(crate) fn rest(&mut self, now: Instant, waiting: bool) -> Option<Instant> {
        if waiting {
            *self = Self::default();
        }
        self.until = self.until.filter(|until| now < *until);
        self.until
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A download at the agent's pace, long enough.
    fn resting(start: Instant) -> Coalesce {
        let mut coalesce = Coalesce::default();
        for _ in 0..STREAK {
            assert_eq!(coalesce.rest(start, false), None);
            coalesce.saw(FULL);
            coalesce.drained(start);
        }
        coalesce
    }

    #[cfg(not(windows))]
    #[test]
    fn a_long_download_that_comes_message_by_message_is_read_every_few_milliseconds() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        assert_eq!(coalesce.rest(now, false), Some(now + REST));
        assert_eq!(coalesce.rest(now + 4 * MS, false), Some(now + REST));
        assert_eq!(coalesce.rest(now + 5 * MS, false), None);
        // What came meanwhile is read at once, and the next rest begins.
        for _ in 0..6 {
            coalesce.saw(FULL);
        }
        coalesce.drained(now + 6 * MS);
        assert_eq!(coalesce.rest(now + 6 * MS, false), Some(now + 11 * MS));
    }

    #[cfg(windows)]
    #[test]
    fn a_long_download_is_read_as_it_comes() {
        let now = Instant::now();
        assert_eq!(resting(now).rest(now, false), None);
    }

    #[test]
    fn an_answer_to_something_that_was_sent_is_never_put_off() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        assert_eq!(coalesce.rest(now, true), None);
        coalesce.saw(FULL);
        coalesce.drained(now);
        assert_eq!(coalesce.rest(now, false), None);
    }

    #[test]
    fn a_message_that_is_not_full_ends_it() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        coalesce.saw(FULL - 1);
        coalesce.drained(now);
        assert_eq!(coalesce.rest(now, false), None);
    }

    #[test]
    fn an_agent_faster_than_the_real_one_is_read_as_it_comes() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        for _ in 0..=FEW {
            coalesce.saw(FULL);
        }
        coalesce.drained(now);
        assert_eq!(coalesce.rest(now, false), None);
    }

    #[cfg(not(windows))]
    #[test]
    fn a_wakeup_that_finds_nothing_changes_nothing() {
        let now = Instant::now();
        let mut coalesce = resting(now);
        coalesce.drained(now);
        assert_eq!(coalesce.rest(now, false), Some(now + REST));
    }

    /// The agent's estimate of the round trip, in milliseconds.
    struct Estimate {
        smoothed: f64,
        variation: f64,
    }

    impl Estimate {
        fn timeout(&self) -> f64 {
            (self.smoothed + f64::max(10.0, 4.0 * self.variation)).min(1000.0)
        }

        fn acknowledged(&mut self, age: f64) {
            self.variation = 0.75 * self.variation + 0.25 * (self.smoothed - age).abs();
            self.smoothed = 0.875 * self.smoothed + 0.125 * age;
        }
    }

    /// The worst case is an agent whose round trip never varied before.
    #[test]
    fn an_acknowledgement_that_is_put_off_comes_before_the_agent_repeats_its_message() {
        let late = 5 * MS;
        for path in [Duration::ZERO, MS, 20 * MS, 100 * MS] {
            let start = Instant::now();
            let mut estimate = Estimate {
                smoothed: path.as_secs_f64() * 1e3,
                variation: 0.0,
            };
            let mut coalesce = Coalesce::default();
            let mut rested = 0;
            // When the agent sent what is not read yet, a message in 1.1 ms.
            let sent = |number: u32| start + number * Duration::from_micros(1100);
            let mut unread: VecDeque<_> = (0..5000).map(sent).collect();
            let mut now = start;
            while let Some(&oldest) = unread.front() {
                now = match coalesce.rest(now, false) {
                    Some(until) => {
                        rested += 1;
                        until + late
                    }
                    None => now.max(oldest + path / 2),
                };
                let age = |sent: Instant| (now + path / 2 - sent).as_secs_f64() * 1e3;
                let (oldest, timeout) = (age(oldest), estimate.timeout());
                assert!(oldest < timeout, "{oldest} ms, repeated after {timeout}");
                while let Some(&sent) = unread.front()
                    && sent + path / 2 <= now
                {
                    coalesce.saw(FULL);
                    estimate.acknowledged(age(sent));
                    unread.pop_front();
                }
                coalesce.drained(now);
            }
            assert_eq!(rested > 100, ENDS_ON_TIME, "it rested {rested} times");
        }
    }
}
