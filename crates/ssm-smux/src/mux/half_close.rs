//! Half-closed streams: how long they wait for the answer before FIN is sent.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Mux;
use super::stream::Stream;
use crate::stream_id::StreamId;

impl Mux {
    /// Restarts the quiet time of every half-closed stream that began before `since`. Takes constant time.
    ///
    /// For a transport that can be held up: call it with the current time as long as nothing of the peer
    /// can arrive.
    pub fn restart_quiet(&mut self, since: Instant) {
        self.half_close_timers.from = self.half_close_timers.from.max(Some(since));
    }

    /// For a transport that knows what has reached the peer: reports that the first `bytes` of all frames
    /// from [`poll_transmit`](Self::poll_transmit) have. The quiet time of a half-closed stream begins when
    /// its last byte is delivered. Call it with 0 at the start; without any call, bytes count as delivered
    /// at once.
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

    /// Gives up no half-closed stream before this time, because an answer may be held up; `None` lifts the
    /// restriction.
    pub fn hold_quiet(&mut self, until: Option<Instant>) {
        self.half_close_timers.held_until = until;
    }

    /// Sends FIN on the streams whose quiet time is over.
    pub(super) fn handle_half_close_timeouts(&mut self, now: Instant) {
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
    }
}

/// How long each half-closed stream still waits for the peer's FIN.
#[derive(Debug)]
pub(super) struct HalfCloseTimers {
    /// [`MuxConfig::half_close_quiet`](crate::MuxConfig::half_close_quiet); above zero if anything is armed.
    period: Duration,
    due: BTreeSet<(Instant, StreamId)>,
    /// Quiet times that began earlier count from here.
    from: Option<Instant>,
    /// Bytes of frames that have reached the peer.
    confirmed: u64,
    /// Half-closed streams with undelivered data, by the end of that data. May hold streams that have
    /// ended since.
    on_the_way: BTreeSet<(u64, StreamId)>,
    /// No stream is given up before this time.
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

    /// When the next quiet time may end.
    pub(super) fn next(&self) -> Option<Instant> {
        let (at, _) = self.due.first()?;
        Some(self.held_until.map_or(*at, |held| held.max(*at)))
    }

    /// Starts the quiet time of a stream.
    pub(super) fn arm(&mut self, id: StreamId, stream: &mut Stream, now: Instant) {
        if let Some(end) = stream.sent_to.take()
            && end > self.confirmed
        {
            stream.sent_to = Some(end);
            self.on_the_way.insert((end, id));
        }
        self.set(id, stream, now.checked_add(self.period));
    }

    /// The data sent by this stream now ends at `end`.
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

    /// The real end of a quiet time whose timer fired: what was sent since restarts it, if need be on
    /// delivery.
    fn until(&self, stream: &mut Stream, now: Instant) -> Option<Instant> {
        let from = match stream.sent_to {
            Some(end) if end > self.confirmed => Some(now),
            _ if stream.wants_turn() => Some(now),
            // The transport does not report deliveries: the data may have been sent just now.
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
