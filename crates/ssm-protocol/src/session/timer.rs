//! The deadlines of a session.

use std::time::Instant;

/// The deadline for which a session asks to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SessionTimer {
    /// The handshake fails.
    Handshake,
    /// The agent keeps data from now on, and the session becomes ready.
    Settled,
    /// The oldest unacknowledged message is retransmitted.
    Retransmit,
    /// One message may be sent although publication is paused.
    PauseProbe,
    /// The silent peer counts as dead.
    PeerSilent,
}

/// The earliest of these deadlines.
pub(super) fn earliest<const N: usize>(
    timers: [(SessionTimer, Option<Instant>); N],
) -> Option<(Instant, SessionTimer)> {
    timers
        .into_iter()
        .filter_map(|(timer, at)| Some((at?, timer)))
        .min()
}
