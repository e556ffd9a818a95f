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
pub enum MuxTimer {
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
        while self.half_close_timers.next().is_some_and(|at| at <= now)
            && let Some((at, id)) = self.half_close_timers.due.first().copied()
        {
            let Some(stream) = self.streams.get_mut(&id) else {
                self.half_close_timers.due.remove(&(at, id));
                continue;
            };
            match self.half_close_timers.until(stream, now) {
                Some(until) if until <= now => {
                    self.half_close_timers.disarm(id, stream);
                    stream.end();
                    stream.pending_events.gave_up = true;
                    self.events.push(id, &mut stream.in_events);
                    self.ready.push(id, &mut stream.in_ready);
                }
                until => self.half_close_timers.set(id, stream, until),
            }
        }
        Ok(())
    }

    /// Whether a NOP is among what [`poll_transmit`](Self::poll_transmit) gives out next. It is small
    /// and belongs out in time, however busy the transport is:
    /// [`poll_keepalive`](Self::poll_keepalive) gives it out alone.
    #[must_use]
    pub fn keepalive_due(&self) -> bool {
        !self.dead && self.liveness.nop_due()
    }

    /// The waits of all half-closed streams did not begin before `since`, in constant time.
    ///
    /// For a transport that can be held up: call it with the time while nothing of the peer can
    /// arrive.
    pub fn restart_quiet(&mut self, since: Instant) {
        self.half_close_timers.from = self.half_close_timers.from.max(Some(since));
    }

    /// For a transport that tells what has reached the peer: of all bytes of frames that
    /// [`poll_transmit`](Self::poll_transmit) gave out, the first `bytes`. A half-closed stream's
    /// wait begins when its last byte is there. Call it with 0 at the start; without any call
    /// everything counts as having arrived at once.
    pub fn confirm(&mut self, bytes: u64, now: Instant) {
        self.half_close_timers.confirmed = bytes;
        while let Some((end, id)) = self.half_close_timers.on_the_way.first().copied()
            && end <= bytes
        {
            self.half_close_timers.on_the_way.pop_first();
            if let Some(stream) = self.streams.get_mut(&id)
                && stream.sent_to.take_if(|last| *last == end).is_some()
                && stream.quiet_until.is_some()
            {
                self.half_close_timers.arm(id, stream, now);
            }
        }
    }

    /// No half-closed stream is given up before this time. For as long as the caller believes that an
    /// answer may be held up; `None` when it no longer does.
    pub fn hold_quiet(&mut self, until: Option<Instant>) {
        self.half_close_timers.held_until = until;
    }

    /// The transport was down until now: silence and quiet times count from here.
    pub fn reconnected(&mut self, now: Instant) {
        self.restart_quiet(now);
        let paused = self.receive_paused();
        self.liveness.heard(now, paused);
    }
}

/// How long each half-closed stream still waits for the peer's FIN.
#[derive(Debug)]
pub(super) struct HalfCloseTimers {
    /// Above zero where anything is armed.
    period: Duration,
    due: BTreeSet<(Instant, StreamId)>,
    /// No wait began before this.
    from: Option<Instant>,
    /// How much of what went out has reached the peer.
    confirmed: u64,
    /// Half-closed streams by where the last of what they sent ends, until the peer has it. May
    /// hold streams that ended meanwhile.
    on_the_way: BTreeSet<(u64, StreamId)>,
    /// No wait ends before this.
    held_until: Option<Instant>,
}

impl HalfCloseTimers {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            due: BTreeSet::new(),
            from: None,
            confirmed: u64::MAX,
            on_the_way: BTreeSet::new(),
            held_until: None,
        }
    }

    /// When the next wait may be over.
    fn next(&self) -> Option<Instant> {
        let (at, _) = self.due.first()?;
        Some(self.held_until.map_or(*at, |held| held.max(*at)))
    }

    /// The wait begins now.
    pub(super) fn arm(&mut self, id: StreamId, stream: &mut Stream, now: Instant) {
        if let Some(end) = stream.sent_to.take()
            && end > self.confirmed
        {
            stream.sent_to = Some(end);
            self.on_the_way.insert((end, id));
        }
        self.set(id, stream, now.checked_add(self.period));
    }

    /// What went out of this stream ends there now.
    pub(super) fn sent(&mut self, id: StreamId, stream: &mut Stream, end: u64) {
        let before = stream.sent_to.replace(end);
        if stream.quiet_until.is_none() {
            return;
        }
        if let Some(before) = before {
            self.on_the_way.remove(&(before, id));
        }
        if end > self.confirmed {
            self.on_the_way.insert((end, id));
        }
    }

    /// A deadline that `Instant` cannot hold sets no timer.
    fn set(&mut self, id: StreamId, stream: &mut Stream, until: Option<Instant>) {
        self.disarm(id, stream);
        stream.quiet_until = until;
        if let Some(at) = until {
            self.due.insert((at, id));
        }
    }

    pub(super) fn disarm(&mut self, id: StreamId, stream: &mut Stream) {
        if let Some(at) = stream.quiet_until.take() {
            self.due.remove(&(at, id));
        }
    }

    /// A wait is over: until when it really goes. What was sent since begins it anew, if need be
    /// once it has reached the peer.
    fn until(&self, stream: &mut Stream, now: Instant) -> Option<Instant> {
        let from = match stream.sent_to {
            Some(end) if end > self.confirmed => Some(now),
            _ if stream.wants_turn() => Some(now),
            // The transport does not tell what has reached the peer: it may have gone out just now.
            Some(_) => {
                stream.sent_to = None;
                Some(now)
            }
            None => self.from,
        };
        match from {
            Some(from) => from.checked_add(self.period),
            None => Some(now),
        }
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

    fn next(&self) -> Option<(Instant, MuxTimer)> {
        let send = self.send_at.map(|at| (at, MuxTimer::KeepaliveSend));
        let dead = self.dead_at().map(|at| (at, MuxTimer::KeepaliveDead));
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
