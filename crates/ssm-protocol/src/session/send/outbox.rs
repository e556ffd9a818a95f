//! The messages that are not acknowledged yet, and the counts and clocks that go with them.

mod inquiring;
mod recovery;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ack_once::AckOnce;
use super::rtt::Rtt;
use super::window::{Stamp, Window};
use crate::config::SessionConfig;

/// Extra memory for messages that ignore the window: flags, keep-alives, inquiries.
const HELD_BESIDE: usize = 256 << 10;
/// An empty list with more capacity than this releases its memory.
const IDLE_CAPACITY: usize = 64;

/// Messages that were created and are not acknowledged yet.
#[derive(Debug)]
pub(in crate::session) struct Outbox {
    /// The messages numbered from `first` on; the front one is never acknowledged.
    entries: VecDeque<Entry>,
    first: u64,
    /// The next number to transmit in order. Reconnecting moves it back to `first`.
    next: u64,
    /// Numbers below `next` to retransmit.
    resend: VecDeque<u64>,
    /// Transmissions and their message numbers, in order: an acknowledgement shows which are overdue.
    transmissions: VecDeque<(u64, u64)>,
    next_transmission: u64,
    /// Unacknowledged payload bytes.
    unacknowledged: usize,
    /// Bytes of memory in the frames of `entries`.
    frame_bytes: usize,
    /// Maximum memory for frames and entries, in bytes.
    most_held: usize,
    /// The number after the last message with a payload.
    payload_end: u64,
    /// Unacknowledged payload bytes that were transmitted on this websocket.
    in_flight: usize,
    /// The number of messages they are in.
    messages_in_flight: usize,
    /// Maximum messages in flight after a resumption; each acknowledgement admits one more.
    flight: usize,
    rtt: Rtt,
    window: Window,
    /// Messages to retransmit at once when overdue.
    burst: usize,
    /// When the last acknowledgement arrived: as long as they arrive, nothing is overdue.
    progress_at: Option<Instant>,
    retransmitted: u64,
    pub(super) ack_once: AckOnce,
}

struct Entry {
    /// The whole message; empty once acknowledged.
    frame: Bytes,
    bytes: usize,
    acknowledged: bool,
    /// Queued in `resend`.
    queued: bool,
    /// Transmitted more than once, or on a previous websocket: an acknowledgement no longer identifies
    /// the transmission that it answers.
    repeated: bool,
    last: Option<Transmission>,
}

// By hand: the frame holds the user's bytes.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("bytes", &self.bytes)
            .field("acknowledged", &self.acknowledged)
            .field("queued", &self.queued)
            .field("repeated", &self.repeated)
            .field("last", &self.last)
            .finish()
    }
}

#[derive(Debug, Clone, Copy)]
struct Transmission {
    number: u64,
    at: Instant,
    stamp: Stamp,
}

impl Outbox {
    pub(in crate::session) fn new(config: &SessionConfig, now: Instant) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            next: 0,
            resend: VecDeque::new(),
            transmissions: VecDeque::new(),
            next_transmission: 0,
            unacknowledged: 0,
            frame_bytes: 0,
            most_held: config
                .max_window
                .saturating_mul(2)
                .saturating_add(HELD_BESIDE),
            payload_end: 0,
            in_flight: 0,
            messages_in_flight: 0,
            flight: usize::MAX,
            rtt: Rtt::default(),
            window: Window::new(
                config.max_payload,
                config.min_window,
                config.max_window,
                now,
            ),
            burst: 1,
            progress_at: None,
            retransmitted: 0,
            ack_once: AckOnce::default(),
        }
    }

    /// The number of the next message.
    pub(in crate::session) fn next_sequence_number(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    pub(in crate::session) fn first_unacknowledged(&self) -> u64 {
        self.first
    }

    pub(in crate::session) fn is_acknowledged(&self, number: u64) -> bool {
        let entry = index(self.first, number).map(|at| self.entries.get(at));
        entry.is_none_or(|entry| entry.is_some_and(|entry| entry.acknowledged))
    }

    /// No acknowledgement could arrive until now: retransmission timeouts start over.
    pub(in crate::session) fn restart_timer(&mut self, now: Instant) {
        self.progress_at = Some(now);
    }

    /// Payload bytes that the window admits now.
    pub(in crate::session) fn room(&self) -> usize {
        if self.is_full() {
            // Tiny messages, or a peer that acknowledges everything but the oldest.
            return 0;
        }
        self.window.size().saturating_sub(self.unacknowledged)
    }

    /// Whether the memory limit is reached.
    pub(in crate::session) fn is_full(&self) -> bool {
        // The list doubles when it is full.
        let lists = self.entries.len() * size_of::<Entry>() * 2
            + self.transmissions.len() * size_of::<(u64, u64)>();
        self.frame_bytes.saturating_add(lists) >= self.most_held
    }

    /// See [`Session::favour_latency`](crate::Session::favour_latency).
    pub(in crate::session) fn favour_latency(&mut self, now: Instant) {
        self.window.favour_latency(now);
    }

    pub(in crate::session) fn window(&self) -> usize {
        self.window.size()
    }

    pub(in crate::session) fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// Whether the peer has processed every payload. An acknowledged message may still wait at the peer for
    /// an earlier one, even one without a payload.
    pub(in crate::session) fn is_delivered(&self) -> bool {
        self.first >= self.payload_end
    }

    pub(in crate::session) fn smoothed_rtt(&self) -> Option<Duration> {
        self.rtt.smoothed()
    }

    pub(in crate::session) fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    pub(in crate::session) fn handshake_complete(&mut self) {
        self.rtt.handshake_complete();
    }

    /// Appends the next message; `bytes` is the length of its payload.
    pub(in crate::session) fn push(&mut self, frame: Bytes, bytes: usize) {
        self.unacknowledged += bytes;
        self.frame_bytes += frame.len();
        if bytes > 0 {
            self.payload_end = self.next_sequence_number() + 1;
        }
        self.entries.push_back(Entry {
            frame,
            bytes,
            acknowledged: false,
            queued: false,
            repeated: false,
            last: None,
        });
    }

    /// Appends a message without payload that was transmitted already, outside the outbox.
    pub(super) fn push_transmitted(
        &mut self,
        frame: Bytes,
        sent_at: Instant,
        acknowledged: bool,
        now: Instant,
    ) {
        self.push(frame, 0);
        let stamp = self.window.on_sent(now, self.in_flight);
        if let Some(entry) = self.entries.back_mut() {
            entry.acknowledged = acknowledged;
            entry.repeated = true;
            entry.last = Some(Transmission {
                number: self.next_transmission,
                at: sent_at,
                stamp,
            });
        }
    }

    /// The next message to transmit: lost messages first, then new ones.
    pub(in crate::session) fn poll(&mut self, now: Instant) -> Option<Bytes> {
        while let Some(number) = self.resend.pop_front() {
            let bytes = self.unacknowledged_bytes(number);
            if let Some(frame) = self.transmit(number, self.in_flight - bytes, now) {
                return Some(frame);
            }
        }
        while self.next < self.next_sequence_number() && self.messages_in_flight < self.flight {
            let number = self.next;
            self.next += 1;
            let before = self.in_flight;
            self.in_flight += self.unacknowledged_bytes(number);
            self.messages_in_flight += usize::from(!self.is_acknowledged(number));
            if let Some(frame) = self.transmit(number, before, now) {
                return Some(frame);
            }
        }
        None
    }

    /// Transmits the oldest unacknowledged message, again if need be.
    pub(in crate::session) fn poll_oldest(&mut self, now: Instant) -> Option<Bytes> {
        if self.next == self.first {
            return self.poll(now);
        }
        let bytes = self.unacknowledged_bytes(self.first);
        self.transmit(self.first, self.in_flight - bytes, now)
    }

    /// Whether the oldest message was retransmitted and is still unacknowledged.
    pub(super) fn waits_for_repeated(&self) -> bool {
        self.first < self.next
            && self
                .entries
                .front()
                .is_some_and(|oldest| oldest.repeated && !oldest.queued)
    }

    /// An acknowledgement showed that the path works: nothing is overdue, and more may be in flight.
    pub(super) fn path_works(&mut self, round_trip: Duration, now: Instant) {
        self.rtt.sample(round_trip);
        self.progress_at = Some(now);
        self.flight = self.flight.saturating_mul(2);
    }

    /// Counts a retransmission that was made outside the outbox.
    pub(super) fn count_retransmission(&mut self) {
        self.retransmitted += 1;
    }

    /// Whether nothing is unacknowledged.
    pub(in crate::session) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Payload bytes of a message; 0 once it is acknowledged.
    fn unacknowledged_bytes(&self, number: u64) -> usize {
        index(self.first, number)
            .and_then(|at| self.entries.get(at))
            .filter(|entry| !entry.acknowledged)
            .map_or(0, |entry| entry.bytes)
    }

    /// `in_flight` is the payload bytes in flight without this message.
    fn transmit(&mut self, number: u64, in_flight: usize, now: Instant) -> Option<Bytes> {
        let entry = self.entries.get_mut(index(self.first, number)?)?;
        entry.queued = false;
        if entry.acknowledged {
            return None;
        }
        let transmission = self.next_transmission;
        self.next_transmission += 1;
        if entry.last.is_some() {
            self.retransmitted += 1;
            entry.repeated = true;
        }
        entry.last = Some(Transmission {
            number: transmission,
            at: now,
            stamp: self.window.on_sent(now, in_flight),
        });
        let frame = entry.frame.clone();
        self.transmissions.push_back((transmission, number));
        self.forget_outdated();
        Some(frame)
    }

    /// Drops transmissions whose message was retransmitted or acknowledged since, once they dominate the
    /// list: a peer that acknowledges only retransmissions must not make it grow without limit.
    fn forget_outdated(&mut self) {
        if self.transmissions.len() <= 2 * self.entries.len() + IDLE_CAPACITY {
            return;
        }
        let (first, entries) = (self.first, &self.entries);
        self.transmissions.retain(|(transmission, number)| {
            let entry = index(first, *number).and_then(|at| entries.get(at));
            entry.is_some_and(|entry| {
                !entry.acknowledged && entry.last.is_some_and(|last| last.number == *transmission)
            })
        });
    }

    /// Handles an acknowledgement. Returns `false` for one that is unknown or repeated.
    pub(in crate::session) fn acknowledge(&mut self, number: u64, now: Instant) -> bool {
        let Some(entry) = index(self.first, number).and_then(|at| self.entries.get(at)) else {
            return false;
        };
        let Some(last) = entry.last else { return false };
        let (bytes, once) = (entry.bytes, !entry.repeated);
        if !self.take(number) {
            return false;
        }

        // Karn: it is unknown which transmission of several was acknowledged.
        let rtt = once.then(|| now.saturating_duration_since(last.at));
        if let Some(rtt) = rtt {
            self.rtt.sample(rtt);
        }
        self.progress_at = Some(now);
        self.window.on_ack(now, bytes, last.stamp, rtt);
        self.drop_taken();
        if once {
            self.burst = 1;
            self.find_lost(last.number);
        } else if now.saturating_duration_since(last.at)
            >= self.rtt.smoothed().unwrap_or_default() / 2
        {
            // Late enough to answer the retransmission, so what was lost with it is sent now.
            self.resend_more_overdue(now);
        }
        true
    }

    /// Marks a message as acknowledged. Returns `false` if it was already, or is unknown.
    fn take(&mut self, number: u64) -> bool {
        let entry = index(self.first, number).and_then(|at| self.entries.get_mut(at));
        let Some(entry) = entry.filter(|entry| !entry.acknowledged) else {
            return false;
        };
        entry.acknowledged = true;
        self.frame_bytes -= entry.frame.len();
        entry.frame = Bytes::new();
        self.unacknowledged -= entry.bytes;
        if number < self.next {
            self.in_flight -= entry.bytes;
            self.messages_in_flight -= 1;
        }
        self.flight = self.flight.saturating_add(1);
        true
    }

    fn drop_taken(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.acknowledged) {
            self.entries.pop_front();
            self.first += 1;
        }
        self.next = self.next.max(self.first);
        if self.entries.is_empty() {
            self.give_back();
        }
        self.ack_once.processed_before(self.first);
    }

    /// Marks every message before this number as acknowledged. Returns how many were not.
    pub(super) fn take_before(&mut self, number: u64) -> u64 {
        let news = (self.first..number)
            .filter(|number| self.take(*number))
            .count();
        self.drop_taken();
        news as u64
    }

    /// Releases memory once everything is acknowledged; past transmissions no longer matter then.
    fn give_back(&mut self) {
        self.transmissions.clear();
        if self.entries.capacity() > IDLE_CAPACITY {
            self.entries = VecDeque::new();
        }
        if self.transmissions.capacity() > IDLE_CAPACITY {
            self.transmissions = VecDeque::new();
        }
    }

    /// Bytes of memory held, without the allocator's overhead.
    #[cfg(test)]
    pub(in crate::session) fn held(&self) -> usize {
        let frames: usize = self.entries.iter().map(|entry| entry.frame.len()).sum();
        let lists = self.entries.capacity() * size_of::<Entry>()
            + self.transmissions.capacity() * size_of::<(u64, u64)>();
        frames + lists
    }
}

fn index(first: u64, number: u64) -> Option<usize> {
    usize::try_from(number.checked_sub(first)?).ok()
}
