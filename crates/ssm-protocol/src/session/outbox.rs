use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::rtt::Rtt;
use super::window::{Stamp, Window};

/// Later messages that must be acknowledged before a hole counts as lost (RFC 5681, section 3.2).
const LATER_ACKNOWLEDGEMENTS: u64 = 3;
/// Most messages resent at once after a timeout.
const MAX_BURST: usize = 64;

/// Sent messages that are not acknowledged yet, and when to send them again.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Numbers `first..`; the front one is never acknowledged.
    entries: VecDeque<Entry>,
    first: u64,
    /// Next number to be transmitted in order. Reconnecting moves it back to `first`.
    next: u64,
    /// Numbers to be transmitted out of order, before `next`.
    resend: VecDeque<u64>,
    /// Transmissions in the order they were made: what an acknowledgement proves late.
    transmissions: VecDeque<(u64, u64)>,
    next_transmission: u64,
    unacknowledged: usize,
    rtt: Rtt,
    window: Window,
    burst: usize,
    retransmitted: u64,
}

#[derive(Debug)]
struct Entry {
    /// The whole message; empty once acknowledged.
    frame: Bytes,
    bytes: usize,
    acknowledged: bool,
    /// Waits in `resend`.
    queued: bool,
    count: u32,
    last: Option<Transmission>,
}

#[derive(Debug, Clone, Copy)]
struct Transmission {
    number: u64,
    at: Instant,
    stamp: Stamp,
}

impl Outbox {
    pub(super) fn new(min_window: usize, max_window: usize, now: Instant) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            next: 0,
            resend: VecDeque::new(),
            transmissions: VecDeque::new(),
            next_transmission: 0,
            unacknowledged: 0,
            rtt: Rtt::default(),
            window: Window::new(min_window, max_window, now),
            burst: 1,
            retransmitted: 0,
        }
    }

    /// The number the next message gets.
    pub(super) fn next_sequence_number(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Bytes that may be pushed now.
    pub(super) fn room(&self) -> usize {
        self.window.size().saturating_sub(self.unacknowledged)
    }

    pub(super) fn window(&self) -> usize {
        self.window.size()
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    pub(super) fn smoothed_rtt(&self) -> Option<Duration> {
        self.rtt.smoothed()
    }

    pub(super) fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    /// Takes the next message; `bytes` is its payload's length.
    pub(super) fn push(&mut self, frame: Bytes, bytes: usize) {
        self.unacknowledged += bytes;
        self.entries.push_back(Entry {
            frame,
            bytes,
            acknowledged: false,
            queued: false,
            count: 0,
            last: None,
        });
    }

    /// The next message to be transmitted: what was lost first, then what is new.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Bytes> {
        while let Some(number) = self.resend.pop_front() {
            if let Some(frame) = self.transmit(number, now) {
                return Some(frame);
            }
        }
        while self.next < self.next_sequence_number() {
            let number = self.next;
            self.next += 1;
            if let Some(frame) = self.transmit(number, now) {
                return Some(frame);
            }
        }
        None
    }

    fn transmit(&mut self, number: u64, now: Instant) -> Option<Bytes> {
        let in_flight = self.unacknowledged;
        let entry = self.entries.get_mut(index(self.first, number)?)?;
        entry.queued = false;
        if entry.acknowledged {
            return None;
        }
        let transmission = self.next_transmission;
        self.next_transmission += 1;
        if entry.count > 0 {
            self.retransmitted += 1;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = Some(Transmission {
            number: transmission,
            at: now,
            stamp: self.window.on_sent(now, in_flight.saturating_sub(entry.bytes)),
        });
        self.transmissions.push_back((transmission, number));
        Some(entry.frame.clone())
    }

    /// A message was acknowledged. Unknown and repeated ones are ignored: `false`.
    pub(super) fn acknowledge(&mut self, number: u64, now: Instant) -> bool {
        let Some(entry) = index(self.first, number).and_then(|at| self.entries.get_mut(at)) else {
            return false;
        };
        let Some(last) = entry.last else { return false };
        if entry.acknowledged {
            return false;
        }
        entry.acknowledged = true;
        entry.frame = Bytes::new();
        self.unacknowledged -= entry.bytes;
        let (bytes, once) = (entry.bytes, entry.count == 1);

        // Karn: after a retransmission nobody knows which one was acknowledged.
        let rtt = once.then(|| now.saturating_duration_since(last.at));
        if let Some(rtt) = rtt {
            self.rtt.sample(rtt);
        }
        self.rtt.progress();
        self.window.on_ack(now, bytes, last.stamp, rtt);
        while self.entries.front().is_some_and(|entry| entry.acknowledged) {
            self.entries.pop_front();
            self.first += 1;
        }
        self.next = self.next.max(self.first);
        if once {
            self.burst = 1;
            self.find_lost(last.number);
        } else {
            self.burst = (self.burst * 2).min(MAX_BURST);
        }
        true
    }

    /// Every transmission made three or more before an acknowledged one is lost if its message is
    /// still unacknowledged and was not transmitted again since.
    fn find_lost(&mut self, acknowledged: u64) {
        while let Some((transmission, number)) = self.transmissions.front().copied() {
            let entry = index(self.first, number).and_then(|at| self.entries.get_mut(at));
            if let Some(entry) = entry
                && !entry.acknowledged
                && entry.last.is_some_and(|last| last.number == transmission)
            {
                if transmission + LATER_ACKNOWLEDGEMENTS > acknowledged {
                    return;
                }
                if !entry.queued {
                    entry.queued = true;
                    self.resend.push_back(number);
                    self.window.on_loss();
                }
            }
            self.transmissions.pop_front();
        }
    }

    /// When the oldest message is to be sent again; `None` while it still waits to be transmitted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let oldest = self.entries.front()?;
        if oldest.queued || self.next == self.first {
            return None;
        }
        Some(oldest.last?.at + self.rtt.timeout())
    }

    /// Sends overdue messages again: the oldest, and twice as many each time that helped.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let timeout = self.rtt.timeout();
        let sent = usize::try_from(self.next - self.first).unwrap_or(usize::MAX);
        let mut left = self.burst;
        for (at, entry) in self.entries.iter_mut().take(sent).enumerate() {
            if left == 0 {
                break;
            }
            let overdue = entry.last.is_some_and(|last| last.at + timeout <= now);
            if !entry.acknowledged && !entry.queued && overdue {
                entry.queued = true;
                self.resend.push_back(self.first + at as u64);
                left -= 1;
            }
        }
        self.rtt.back_off();
        self.window.on_timeout();
    }

    /// A new websocket: everything unacknowledged goes again, in order.
    pub(super) fn resend_all(&mut self) {
        self.resend.clear();
        self.transmissions.clear();
        for entry in &mut self.entries {
            entry.queued = false;
        }
        self.next = self.first;
        self.burst = 1;
        self.rtt.progress();
    }
}

fn index(first: u64, number: u64) -> Option<usize> {
    usize::try_from(number.checked_sub(first)?).ok()
}
