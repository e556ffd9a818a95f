//! Paused publication: new data waits, and one message a second probes for the end of the pause.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Session;
use crate::event::SessionEvent;

/// Interval of the probes sent while publication is paused: `start_publication` may be lost, and any
/// answer to a probe ends the pause. Equal to the longest retransmission timeout of the reference peers.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

impl Session {
    /// Whether publication is paused, because the other side's channel is inactive.
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

    /// The one message that may be sent during a pause: the oldest unacknowledged one. With a peer that
    /// might not answer it, the messages of an inquiry take turns with it.
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
