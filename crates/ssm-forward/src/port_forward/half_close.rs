//! Half-closed streams wait for their answer only while one can arrive.

use std::time::{Duration, Instant};

use ssm_protocol::Session;

use super::basic::NO_REPEATS;
use super::channel::Channel;

/// The start that ends a pause may be lost, so a longer pause no longer extends the wait. The default
/// of [`SessionConfig::peer_timeout`](ssm_protocol::SessionConfig::peer_timeout).
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The waits of half-closed streams for more of their answer. Time during which no answer can arrive
/// does not count: an outage, a pause, slow local readers, or a missing message.
#[derive(Debug)]
pub(super) struct HalfCloseTimers {
    /// How long a half-closed stream waits.
    half_close_quiet: Duration,
    held: Held,
    /// Since when publication is paused.
    paused_since: Option<Instant>,
    /// There was an outage before the handshake was complete.
    was_away: bool,
    /// A message's number, and the bytes of smux that have arrived once it is acknowledged.
    probe: Option<(u64, u64)>,
    /// The session's counts of duplicates and of new messages, as of the last update.
    duplicates: u64,
    received: u64,
    /// When the agent last repeated a message, unless it has sent a new one since: its messages arrive
    /// in order, so nothing sent before the new one is missing.
    repeated_at: Option<Instant>,
}

/// Why the answer of a half-closed stream may be late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    No,
    /// It may have arrived and wait behind a missing message or slow readers.
    Here,
    /// Nothing arrives: the client's or the agent's websocket is down.
    Away,
}

impl Held {
    fn now(session: &Session, pause: bool, receive_paused: bool) -> Self {
        if !session.is_connected() || pause {
            Self::Away
        } else if session.stats().reordering > 0 || receive_paused {
            Self::Here
        } else {
            Self::No
        }
    }
}

impl HalfCloseTimers {
    pub(super) fn new(half_close_quiet: Duration) -> Self {
        Self {
            half_close_quiet,
            held: Held::No,
            paused_since: None,
            was_away: false,
            probe: None,
            duplicates: 0,
            received: 0,
            repeated_at: None,
        }
    }

    pub(super) fn disconnected(&mut self) {
        self.held = Held::Away;
    }

    /// The handshake is complete.
    pub(super) fn became_ready(&self, channel: &mut Channel, now: Instant) {
        if let Channel::Basic(basic) = channel
            && self.was_away
        {
            basic.away(now);
        }
    }

    /// Call this before any timer is checked and after anything happened.
    pub(super) fn update(&mut self, session: &mut Session, channel: &mut Channel, now: Instant) {
        let receive_paused = channel.receive_paused();
        session.set_receive_paused(receive_paused, now);
        self.paused_since = match self.paused_since {
            _ if !session.is_paused() => None,
            None => Some(now),
            since => since,
        };
        let pause = self
            .paused_since
            .is_some_and(|since| now.saturating_duration_since(since) < LONGEST_PAUSE);
        let held = Held::now(session, pause, receive_paused);
        let worst = held.max(std::mem::replace(&mut self.held, held));
        let stats = session.stats();
        let repeats = std::mem::replace(&mut self.duplicates, stats.duplicates) != stats.duplicates;
        // New data waits behind what the agent sends again, one message at a time: no wait ends
        // meanwhile.
        let quiet = self.half_close_quiet.saturating_sub(NO_REPEATS);
        let almost_over = now.checked_sub(quiet).filter(|_| repeats);
        if std::mem::replace(&mut self.received, stats.received) != stats.received {
            self.repeated_at = None;
        }
        if repeats {
            self.repeated_at = Some(now);
        }
        match channel {
            Channel::Pending => self.was_away |= worst == Held::Away,
            Channel::Mux(mux) => {
                let (number, bytes) = *self.probe.get_or_insert((stats.sent, mux.transmitted()));
                if stats.confirmed >= number {
                    mux.confirm(bytes, now);
                    self.probe = Some((stats.sent, mux.transmitted()));
                }
                let hold = NO_REPEATS.min(self.half_close_quiet);
                mux.hold_quiet(self.repeated_at.and_then(|at| at.checked_add(hold)));
                match worst {
                    Held::No => {}
                    Held::Here => mux.restart_quiet(now),
                    Held::Away => mux.reconnected(now),
                }
            }
            Channel::Basic(basic) => {
                basic.confirmed(session);
                match worst {
                    Held::Away => basic.away(now),
                    Held::Here => basic.still_repeats(now),
                    Held::No if repeats => basic.still_repeats(now),
                    Held::No => {}
                }
                if worst != Held::No || !session.is_delivered() {
                    basic.restart_quiet(now, now);
                } else if let Some(since) = almost_over {
                    basic.restart_quiet(since, now);
                }
            }
        }
    }
}
