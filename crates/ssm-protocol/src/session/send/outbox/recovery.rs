//! Retransmission: after later acknowledgements, after a timeout, and on a new websocket.

use std::time::{Duration, Instant};

use super::{Outbox, index};

/// A transmission counts as lost once one made this many later is acknowledged (RFC 9002, section
/// 6.1.1).
const LATER_ACKNOWLEDGEMENTS: u64 = 3;
/// Messages in flight on a resumed websocket before the first acknowledgement. Some paths break every
/// websocket after a few messages: a full window would then be lost each time, and nothing would ever
/// be acknowledged. With fewer than four, three later ones could not reveal a loss.
const FIRST_FLIGHT: usize = 4;
/// Maximum messages resent at once after a timeout.
const MAX_BURST: usize = 64;

impl Outbox {
    /// Queues what is lost: a message is if it is unacknowledged and its last transmission was made
    /// [`LATER_ACKNOWLEDGEMENTS`] or more before an acknowledged one.
    pub(super) fn find_lost(&mut self, acknowledged: u64) {
        while let Some((transmission, number)) = self.transmissions.front().copied() {
            let entry = index(self.first, number).and_then(|at| self.entries.get_mut(at));
            if let Some(entry) = entry
                && !entry.acknowledged
                && entry.last.is_some_and(|last| last.number == transmission)
            {
                if transmission + LATER_ACKNOWLEDGEMENTS > acknowledged {
                    return;
                }
                if !entry.queued && self.ack_once.later_acks_show_loss(entry.repeated) {
                    entry.queued = true;
                    self.resend.push_back(number);
                    self.window.on_loss();
                }
            }
            self.transmissions.pop_front();
        }
    }

    /// When to retransmit the oldest message; `None` while it waits for its transmission.
    pub(in crate::session) fn deadline(&self) -> Option<Instant> {
        let oldest = self.entries.front()?;
        if oldest.queued || self.next == self.first {
            return None;
        }
        // RFC 6298, rule 5.3: an acknowledgement restarts the timer.
        let since = self.progress_at.max(Some(oldest.last?.at))?;
        Some(since + self.rtt.timeout())
    }

    /// Retransmits the oldest message when it is overdue.
    pub(in crate::session) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        self.resend_overdue(now, self.rtt.timeout());
        self.ack_once.restart_round();
        self.rtt.back_off();
        self.window.on_timeout();
    }

    /// Queues up to `burst` messages whose last transmission is older than `timeout`.
    fn resend_overdue(&mut self, now: Instant, timeout: Duration) {
        let sent = usize::try_from(self.next - self.first).unwrap_or(usize::MAX);
        let waiting = self.entries.iter().take(sent).enumerate();
        let overdue = waiting.filter_map(|(at, entry)| {
            let last = entry.last.filter(|last| last.at + timeout <= now)?;
            (!entry.acknowledged && !entry.queued).then_some((last.at, at))
        });
        let chosen = self.ack_once.choose_overdue(overdue, self.burst);
        for (_, at) in chosen {
            if let Some(entry) = self.entries.get_mut(at) {
                entry.queued = true;
                self.resend.push_back(self.first + at as u64);
            }
        }
    }

    /// A retransmitted message was acknowledged: doubles the burst, and queues what was lost with it.
    pub(in crate::session::send) fn resend_more_overdue(&mut self, now: Instant) {
        self.burst = (self.burst * 2).min(MAX_BURST);
        self.resend_overdue(now, self.rtt.base());
    }

    /// On a new websocket: retransmits everything unacknowledged in order, beginning with
    /// [`FIRST_FLIGHT`] messages.
    pub(in crate::session) fn resend_all(&mut self) {
        if self.next > 0 {
            self.flight = FIRST_FLIGHT;
        }
        self.resend.clear();
        self.transmissions.clear();
        for entry in &mut self.entries {
            entry.queued = false;
            entry.repeated = entry.last.is_some();
        }
        self.next = self.first;
        self.in_flight = 0;
        self.messages_in_flight = 0;
        self.burst = 1;
        self.rtt.restart();
        self.ack_once.restart_round();
    }
}
