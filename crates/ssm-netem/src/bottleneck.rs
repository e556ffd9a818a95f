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
    longest_queue: usize,
}

impl Bottleneck {
    /// `rate` in bytes per second.
    pub fn new(rate: usize, now: Instant) -> Self {
        Self {
            rate: rate as f64,
            free_at: now,
            queue: VecDeque::new(),
            queued: 0,
            longest_queue: 0,
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
        self.longest_queue = self.longest_queue.max(self.queued);
        self.free_at
    }

    /// Maximum bytes that ever waited, with the message being handled.
    pub fn longest_queue(&self) -> usize {
        self.longest_queue
    }

    /// What waits is lost.
    pub fn clear(&mut self, now: Instant) {
        self.queue.clear();
        self.queued = 0;
        self.free_at = now;
    }
}
