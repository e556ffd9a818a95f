use std::time::{Duration, Instant};

use ssm_protocol::Session;

use super::basic::NO_REPEATS;
use super::channel::Channel;

/// A pause that lasts longer may be one whose end was lost, with an agent that has nothing to say: it
/// holds no wait any more. As long as a silent agent is waited for by default.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// HalfCloseTimers for an answer count only while one can arrive.
#[derive(Debug)]
pub(super) struct HalfCloseTimers {
    /// How long a half-closed connection waits.
    half_close_quiet: Duration,
    held: Held,
    /// Since when publication is paused.
    paused_since: Option<Instant>,
    /// Something broke before the handshake was complete.
    was_away: bool,
    /// When the message with this number is acknowledged, so many bytes of smux have arrived.
    probe: Option<(u64, u64)>,
    /// Messages that had come again when this was last looked at, and new ones.
    duplicates: u64,
    received: u64,
    /// When the agent last repeated a message, unless it has sent a new one since: its messages come
    /// in order, so nothing sent before the new one is still missing.
    repeated_at: Option<Instant>,
}

/// Why the answer of a half-closed stream may not have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    No,
    /// It may be here, and waits for others: for a missing message, or for slow readers.
    Here,
    /// Nothing arrives: the websocket is down, or the agent's.
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

    /// To be called before time is looked at, and after anything happened.
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
        // What is new waits behind what the agent sends again, one message at a time: no wait ends
        // while it does.
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
