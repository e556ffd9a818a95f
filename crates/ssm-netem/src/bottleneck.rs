//! A receiver that handles one message after the other.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Handles messages in order of arrival at a fixed rate; the rest wait in a queue without limit.
#[derive(Debug, Clone)]
pub struct Bottleneck {
    rate: f64,
    free_at: Instant,
    /// When each message is handled, and its bytes.
    queue: VecDeque<(Instant, usize)>,
    queued: usize,
}

impl Bottleneck {
    /// `rate` in bytes per second.
    pub fn new(rate: usize, now: Instant) -> Self {
        Self {
            rate: rate as f64,
            free_at: now,
            queue: VecDeque::new(),
            queued: 0,
        }
    }

    /// Bytes per second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Changes the rate, in bytes per second, for messages that arrive from now on.
    pub fn set_rate(&mut self, rate: usize) {
        self.rate = rate as f64;
    }

    /// Handles nothing before this time.
    pub fn hold(&mut self, until: Instant) {
        self.free_at = self.free_at.max(until);
    }

    /// Takes a message, and returns when it will have been handled. Times of arrival never decrease.
    pub fn handle(&mut self, bytes: usize, arrival: Instant) -> Instant {
        while let Some((handled, bytes)) = self.queue.front().copied()
            && handled <= arrival
        {
            self.queue.pop_front();
            self.queued -= bytes;
        }
        let begin = self.free_at.max(arrival);
        self.free_at = begin + Duration::from_secs_f64(bytes as f64 / self.rate);
        self.queue.push_back((self.free_at, bytes));
        self.queued += bytes;
        self.free_at
    }

    /// Bytes that waited when the last message arrived, that message and the one being handled
    /// included.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// When everything that arrived so far will have been handled.
    pub fn free_at(&self) -> Instant {
        self.free_at
    }

    /// What waits is lost.
    pub fn clear(&mut self, now: Instant) {
        self.queue.clear();
        self.queued = 0;
        self.free_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the start"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn messages_are_handled_one_after_the_other() {
        let start = start();
        let mut receiver = Bottleneck::new(100_000, start);
        assert_eq!(receiver.handle(100, start), start + MS);
        assert_eq!(receiver.handle(200, start), start + 3 * MS);
        assert_eq!(receiver.queued(), 300);
        // The first has been handled meanwhile, and the second is in turn.
        assert_eq!(receiver.handle(100, start + 2 * MS), start + 4 * MS);
        assert_eq!(receiver.queued(), 300);
        assert_eq!(receiver.handle(100, start + 9 * MS), start + 10 * MS);
        assert_eq!(receiver.queued(), 100);
    }

    #[test]
    fn a_held_receiver_goes_on_at_its_new_rate() {
        let start = start();
        let mut receiver = Bottleneck::new(100_000, start);
        receiver.hold(start + 5 * MS);
        receiver.set_rate(10_000);
        assert_eq!(receiver.handle(100, start), start + 15 * MS);
        assert_eq!(receiver.free_at(), start + 15 * MS);
        receiver.clear(start);
        assert_eq!(receiver.handle(100, start), start + 10 * MS);
    }
}
