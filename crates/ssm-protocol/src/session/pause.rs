//! Publication is paused: what waits, and what is sent now and then all the same.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Session;
use crate::event::SessionEvent;

/// How often one message is sent while publication is paused: the end of the pause may never be
/// announced, and what answers it ends the pause. As seldom as the reference peers' slowest
/// retransmission.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

impl Session {
    /// Whether the other side's channel is inactive, so that nothing new is sent.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    pub(super) fn set_paused(&mut self, paused: bool, now: Instant) {
        if self.paused != paused {
            self.paused = paused;
            self.probe_later(now);
            self.events.push_back(if paused {
                SessionEvent::Paused
            } else {
                SessionEvent::Started
            });
        }
    }

    fn probe_later(&mut self, now: Instant) {
        self.probe_due = false;
        self.probe_at = now.checked_add(PROBE_INTERVAL);
    }

    /// The one message that may be sent during a pause: the oldest that is not acknowledged. A peer
    /// that would say nothing to it is asked by an inquiry in turn.
    pub(super) fn poll_probe(&mut self, now: Instant) -> Option<Bytes> {
        if !self.probe_due {
            return None;
        }
        let inquiry = if self.outbox.inquires() {
            self.poll_inquiry(now)
        } else {
            None
        };
        let probe = inquiry.or_else(|| {
            self.outbox.restart_inquiry_round();
            self.outbox.poll_oldest(now)
        })?;
        self.probe_later(now);
        Some(probe)
    }
}
