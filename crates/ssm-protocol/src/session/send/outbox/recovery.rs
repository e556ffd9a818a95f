//! When messages are sent again: after later acknowledgements, after a timeout, on a new websocket.

use std::time::{Duration, Instant};

use super::{Outbox, index};

/// How many transmissions later an acknowledged one must be for a hole to count as lost (RFC 9002,
/// section 6.1.1).
const LATER_ACKNOWLEDGEMENTS: u64 = 3;
/// Messages in flight on a resumed websocket before the first acknowledgement. The path may break
/// each websocket after a few messages: with a full window on its way, all of which is lost then,
/// nothing would ever be acknowledged. With fewer than four, no three later ones would show a hole.
const FIRST_FLIGHT: usize = 4;
/// Most messages resent at once after a timeout.
const MAX_BURST: usize = 64;

impl Outbox {
    /// Every transmission made three or more before an acknowledged one is lost if its message is
    /// still unacknowledged and was not transmitted again since.
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

    /// When the oldest message is to be sent again; `None` while it still waits to be transmitted.
    pub(in crate::session) fn deadline(&self) -> Option<Instant> {
        let oldest = self.entries.front()?;
        if oldest.queued || self.next == self.first {
            return None;
        }
        // RFC 6298, rule 5.3: an acknowledgement starts the timer anew.
        let since = self.progress_at.max(Some(oldest.last?.at))?;
        Some(since + self.rtt.timeout())
    }

    /// Sends the oldest message again when it is overdue.
    pub(in crate::session) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        self.resend_overdue(now, self.rtt.timeout());
        self.ack_once.restart_round();
        self.rtt.back_off();
        self.window.on_timeout();
    }

    /// Sends again what is older than `timeout`: one message, and twice as many each time that one
    /// of them was acknowledged.
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

    /// One of the messages sent again was acknowledged: what was lost with it goes now, twice as many at a
    /// time.
    pub(in crate::session::send) fn resend_more_overdue(&mut self, now: Instant) {
        self.burst = (self.burst * 2).min(MAX_BURST);
        self.resend_overdue(now, self.rtt.base());
    }

    /// A new websocket: everything unacknowledged goes again, in order, the first few messages until
    /// one of them is acknowledged.
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
