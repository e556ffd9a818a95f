//! The messages that are not acknowledged, and what is counted about them.

mod recovery;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ack_once::AckOnce;
use super::rtt::Rtt;
use super::window::{Stamp, Window};
use crate::config::SessionConfig;

/// Memory for messages that are sent whatever the window: flags, keep-alives, inquiries.
const HELD_BESIDE: usize = 256 << 10;
/// With nothing unacknowledged a list that had grown beyond this is given back.
const IDLE_CAPACITY: usize = 64;

/// Sent messages that are not acknowledged yet, and when to send them again.
#[derive(Debug)]
pub(in crate::session) struct Outbox {
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
    /// Bytes of memory in the frames of `entries`.
    frame_bytes: usize,
    /// Most bytes of memory for frames and entries.
    most_held: usize,
    /// The number after the last message with a payload.
    payload_end: u64,
    /// Those of them that were transmitted, on this websocket.
    in_flight: usize,
    /// And how many messages.
    messages_in_flight: usize,
    /// Most messages in flight, from a resumption on; each acknowledgement makes room for two.
    flight: usize,
    rtt: Rtt,
    window: Window,
    burst: usize,
    /// When an acknowledgement came last: while they come, nothing is overdue.
    progress_at: Option<Instant>,
    retransmitted: u64,
    pub(super) ack_once: AckOnce,
}

struct Entry {
    /// The whole message; empty once acknowledged.
    frame: Bytes,
    bytes: usize,
    acknowledged: bool,
    /// Waits in `resend`.
    queued: bool,
    /// Transmitted more than once, or on a websocket that is gone: an acknowledgement no longer
    /// tells which transmission it answers.
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

    /// The number the next message gets.
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

    /// Until now no acknowledgement could be heard: what is on its way counts from here.
    pub(in crate::session) fn restart_timer(&mut self, now: Instant) {
        self.progress_at = Some(now);
    }

    /// Bytes that may be pushed now.
    pub(in crate::session) fn room(&self) -> usize {
        if self.is_full() {
            // Tiny messages, or a peer that acknowledges all but the oldest.
            return 0;
        }
        self.window.size().saturating_sub(self.unacknowledged)
    }

    /// Whether so much memory is in use that nothing more is taken.
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

    /// Whether the peer has processed every payload. What it acknowledged may still wait for a message
    /// before it, which need not have a payload itself.
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

    /// Takes the next message; `bytes` is its payload's length.
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

    /// Takes the next message, without payload, that was transmitted before in another way.
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

    /// The next message to be transmitted: what was lost first, then what is new.
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

    /// The oldest message that is not acknowledged, whether it was transmitted before or not.
    pub(in crate::session) fn poll_oldest(&mut self, now: Instant) -> Option<Bytes> {
        if self.next == self.first {
            return self.poll(now);
        }
        let bytes = self.unacknowledged_bytes(self.first);
        self.transmit(self.first, self.in_flight - bytes, now)
    }

    /// Whether the oldest message went again, and no answer came.
    pub(super) fn waits_for_repeated(&self) -> bool {
        self.first < self.next
            && self
                .entries
                .front()
                .is_some_and(|oldest| oldest.repeated && !oldest.queued)
    }

    /// A message that carries nothing new was acknowledged: nothing is overdue, and more may be on its way.
    pub(super) fn path_works(&mut self, round_trip: Duration, now: Instant) {
        self.rtt.sample(round_trip);
        self.progress_at = Some(now);
        self.flight = self.flight.saturating_mul(2);
    }

    /// A message was transmitted again in another way.
    pub(super) fn count_retransmission(&mut self) {
        self.retransmitted += 1;
    }

    /// Whether nothing is unacknowledged.
    pub(in crate::session) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the message still counts for; 0 once it is acknowledged.
    fn unacknowledged_bytes(&self, number: u64) -> usize {
        index(self.first, number)
            .and_then(|at| self.entries.get(at))
            .filter(|entry| !entry.acknowledged)
            .map_or(0, |entry| entry.bytes)
    }

    /// `in_flight` counts the other messages.
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

    /// Drops transmissions that were repeated or acknowledged since, once they are most of the list:
    /// a peer that acknowledges only what is sent again must not make it grow without end.
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

    /// A message was acknowledged. Unknown and repeated ones are ignored: `false`.
    pub(in crate::session) fn acknowledge(&mut self, number: u64, now: Instant) -> bool {
        let Some(entry) = index(self.first, number).and_then(|at| self.entries.get(at)) else {
            return false;
        };
        let Some(last) = entry.last else { return false };
        let (bytes, once) = (entry.bytes, !entry.repeated);
        if !self.take(number) {
            return false;
        }

        // Karn: after a retransmission nobody knows which one was acknowledged.
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
            // Late enough to answer the retransmission: what was lost with it goes now.
            self.resend_more_overdue(now);
        }
        true
    }

    /// The peer has this one; `false` if that is no news.
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

    /// The peer has processed every message before this one. Returns how many of them are news.
    pub(super) fn take_before(&mut self, number: u64) -> u64 {
        let news = (self.first..number)
            .filter(|number| self.take(*number))
            .count();
        self.drop_taken();
        news as u64
    }

    /// Everything is acknowledged, and so no transmission tells anything any more.
    fn give_back(&mut self) {
        self.transmissions.clear();
        if self.entries.capacity() > IDLE_CAPACITY {
            self.entries = VecDeque::new();
        }
        if self.transmissions.capacity() > IDLE_CAPACITY {
            self.transmissions = VecDeque::new();
        }
    }

    /// Bytes of memory held, without what the allocator adds.
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
