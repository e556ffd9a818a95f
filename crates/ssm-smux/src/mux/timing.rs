use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Mux;
use crate::config::Keepalive;
use crate::error::SmuxError;
use crate::stream::Stream;
use crate::stream_id::StreamId;

/// Why a multiplexer wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timer {
    /// When the next NOP is due.
    KeepaliveSend,
    /// When the silent peer counts as dead.
    KeepaliveDead,
    /// When a finished stream has waited long enough for the answer.
    HalfClose,
}

impl Mux {
    /// When to call [`handle_timeout`](Self::handle_timeout), and why. The value may change after
    /// every call that takes `&mut self`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        if self.dead {
            return None;
        }
        let quiet = self.quiet.first().map(|(at, _)| (at, Timer::HalfClose));
        self.liveness.next().into_iter().chain(quiet).min()
    }

    /// Time has passed. Calls that come early or twice are harmless.
    ///
    /// # Errors
    /// When the peer was silent for too long; the session is dead then. A session that is
    /// [paused](Self::receive_paused) hears nothing and therefore counts no silence.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SmuxError> {
        if self.dead {
            return Ok(());
        }
        let paused = self.receive_paused();
        if let Some(after) = self.liveness.handle_timeout(now, paused) {
            self.dead = true;
            return Err(SmuxError::Silent { after });
        }
        while let Some((at, id)) = self.quiet.first()
            && at <= now
        {
            let Some(stream) = self.streams.get_mut(&id) else {
                self.quiet.due.remove(&(at, id));
                continue;
            };
            if self.quiet.is_over(stream, now) {
                self.quiet.disarm(id, stream);
                stream.end();
                stream.facts.gave_up = true;
                self.events.push(id, &mut stream.in_events);
                self.ready.push(id, &mut stream.in_ready);
            } else {
                self.quiet.arm(id, stream, now);
            }
        }
        Ok(())
    }

    /// Starts the waits of all half-closed streams over, in constant time.
    ///
    /// For a transport that holds bytes back: call it as long as something that
    /// [`poll_transmit`](Self::poll_transmit) gave out has not reached the peer, who cannot have
    /// answered it yet.
    pub fn restart_quiet(&mut self, now: Instant) {
        self.quiet.from = Some(now);
    }

    /// The transport was down until now: silence and quiet times count from here.
    pub fn reconnected(&mut self, now: Instant) {
        self.restart_quiet(now);
        let paused = self.receive_paused();
        self.liveness.heard(now, paused);
    }
}

/// Until when half-closed streams wait for the answer.
#[derive(Debug)]
pub(super) struct Quiet {
    /// Above zero where anything is armed.
    period: Duration,
    due: BTreeSet<(Instant, StreamId)>,
    /// No wait began before this.
    from: Option<Instant>,
}

impl Quiet {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            due: BTreeSet::new(),
            from: None,
        }
    }

    fn first(&self) -> Option<(Instant, StreamId)> {
        self.due.first().copied()
    }

    /// The wait begins now. One beyond the end of time has no timer.
    pub(super) fn arm(&mut self, id: StreamId, stream: &mut Stream, now: Instant) {
        self.disarm(id, stream);
        stream.sent_since = false;
        stream.quiet_until = now.checked_add(self.period);
        if let Some(at) = stream.quiet_until {
            self.due.insert((at, id));
        }
    }

    pub(super) fn disarm(&mut self, id: StreamId, stream: &mut Stream) {
        if let Some(at) = stream.quiet_until.take() {
            self.due.remove(&(at, id));
        }
    }

    /// Whether really nothing went either way for the whole period.
    fn is_over(&self, stream: &Stream, now: Instant) -> bool {
        let restarted = self
            .from
            .is_some_and(|from| now.saturating_duration_since(from) < self.period);
        !restarted && !stream.sent_since && !stream.wants_turn()
    }
}

/// Keep-alives, if they are on.
#[derive(Debug)]
pub(super) struct Liveness {
    keepalive: Option<Keepalive>,
    send_at: Option<Instant>,
    nop_due: bool,
    heard_at: Instant,
    /// The caller was asked not to listen at some time since then.
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

    fn next(&self) -> Option<(Instant, Timer)> {
        let send = self.send_at.map(|at| (at, Timer::KeepaliveSend));
        let dead = self.dead_at().map(|at| (at, Timer::KeepaliveDead));
        send.into_iter().chain(dead).min()
    }

    fn dead_at(&self) -> Option<Instant> {
        self.heard_at.checked_add(self.keepalive?.timeout)
    }

    /// How long the peer was silent, if that was too long.
    fn handle_timeout(&mut self, now: Instant, paused: bool) -> Option<Duration> {
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
