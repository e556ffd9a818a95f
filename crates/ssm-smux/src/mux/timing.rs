//! When a multiplexer wants to be woken, and what it does then.

use std::time::Instant;

use super::Mux;
use crate::error::SmuxError;

/// The deadline for which a multiplexer asks to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MuxTimer {
    /// The next NOP is due.
    KeepaliveSend,
    /// The silent peer counts as dead.
    KeepaliveDead,
    /// A half-closed stream has waited long enough for the answer.
    HalfClose,
}

impl Mux {
    /// When to call [`handle_timeout`](Self::handle_timeout), and why. The value may change after
    /// every call that takes `&mut self`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, MuxTimer)> {
        if self.dead {
            return None;
        }
        let quiet = self
            .half_close_timers
            .next()
            .map(|at| (at, MuxTimer::HalfClose));
        self.liveness.next().into_iter().chain(quiet).min()
    }

    /// Acts on the deadlines that have passed. Early and repeated calls are harmless.
    ///
    /// # Errors
    /// [`SmuxError::Silent`], which ends the session. Silence does not count while the session is
    /// [paused](Self::receive_paused), since nothing can arrive then.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SmuxError> {
        if self.dead {
            return Ok(());
        }
        let paused = self.receive_paused();
        if let Some(after) = self.liveness.handle_timeout(now, paused) {
            self.dead = true;
            return Err(SmuxError::Silent { after });
        }
        self.handle_half_close_timeouts(now);
        Ok(())
    }

    /// Call when a transport that was down is up again: silence and quiet times count from now.
    pub fn reconnected(&mut self, now: Instant) {
        self.restart_quiet(now);
        let paused = self.receive_paused();
        self.liveness.heard(now, paused);
    }
}
