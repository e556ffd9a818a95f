use std::time::Instant;

/// Why a session wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SessionTimer {
    /// When the handshake counts as failed.
    Handshake,
    /// When the agent can be trusted to keep data, and the session becomes ready.
    Settled,
    /// When the oldest unacknowledged message is sent again.
    Retransmit,
    /// When one message may be sent although publication is paused.
    PauseProbe,
    /// When the silent peer counts as dead.
    PeerSilent,
}

/// The earliest of some deadlines.
pub(super) fn earliest<const N: usize>(
    timers: [(SessionTimer, Option<Instant>); N],
) -> Option<(Instant, SessionTimer)> {
    timers
        .into_iter()
        .filter_map(|(timer, at)| Some((at?, timer)))
        .min()
}
