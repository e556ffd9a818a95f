//! Keep-alives: NOPs, and the death of a silent peer.

use std::time::{Duration, Instant};

use super::Mux;
use super::timing::MuxTimer;
use crate::config::Keepalive;

impl Mux {
    /// Whether the next frame of [`poll_transmit`](Self::poll_transmit) is a NOP. It must be sent in time,
    /// however busy the transport is: [`poll_keepalive`](Self::poll_keepalive) returns it alone.
    #[must_use]
    pub fn keepalive_due(&self) -> bool {
        !self.dead && self.liveness.nop_due()
    }
}

/// Keep-alives, and how long the peer has been silent.
#[derive(Debug)]
pub(super) struct Liveness {
    keepalive: Option<Keepalive>,
    send_at: Option<Instant>,
    nop_due: bool,
    heard_at: Instant,
    /// The session was paused at some time since then.
    paused_since: bool,
}

impl Liveness {
    pub(super) fn new(keepalive: Option<Keepalive>, now: Instant) -> Self {
        Self {
            send_at: keepalive.and_then(|keepalive| now.checked_add(keepalive.interval)),
            keepalive,
            nop_due: false,
            heard_at: now,
            paused_since: false,
        }
    }

    pub(super) fn heard(&mut self, now: Instant, paused: bool) {
        self.heard_at = now;
        self.paused_since = paused;
    }

    pub(super) fn nop_due(&self) -> bool {
        self.nop_due
    }

    pub(super) fn take_nop(&mut self) -> bool {
        std::mem::take(&mut self.nop_due)
    }

    pub(super) fn next(&self) -> Option<(Instant, MuxTimer)> {
        let send = self.send_at.map(|at| (at, MuxTimer::KeepaliveSend));
        let dead = self.dead_at().map(|at| (at, MuxTimer::KeepaliveDead));
        send.into_iter().chain(dead).min()
    }

    fn dead_at(&self) -> Option<Instant> {
        self.heard_at.checked_add(self.keepalive?.timeout)
    }

    /// The time limit of silence, if it has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant, paused: bool) -> Option<Duration> {
        let keepalive = self.keepalive?;
        if self.dead_at().is_some_and(|at| at <= now) {
            if !self.paused_since {
                return Some(keepalive.timeout);
            }
            self.heard(now, paused);
        }
        if self.send_at.is_some_and(|at| at <= now) {
            self.nop_due = true;
            self.send_at = now.checked_add(keepalive.interval);
        }
        None
    }
}
