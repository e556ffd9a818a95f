//! The window: how many bytes may be unacknowledged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The window is twice the bandwidth-delay product: the path is full, and at most one product is queued
/// in front of a slow receiver. When a path becomes faster, the delivery rate doubles every round trip.
const GAIN: f64 = 2.0;
/// The path counts as full after this many round trips without a delivery rate [`STILL_GROWING`] times
/// the best one before.
const FULL_ROUNDS: u32 = 2;
const STILL_GROWING: f64 = 1.25;
/// Round trips for which a measured delivery rate is valid. The window keeps the path full, so each of
/// them measures it; with more, a receiver that becomes slow would be flooded for long.
const RATE_ROUNDS: u64 = 3;
/// How long the minimum round-trip time is valid before it is measured again with a short queue (BBR's
/// ProbeRTT).
const MIN_RTT_AGE: Duration = Duration::from_secs(10);
/// Minimum round-trip time assumed. Shorter ones are scheduling and batching rather than distance; with
/// both ends on one machine, a smaller value would stall an upload all the time. It costs a queue of up
/// to twice this length, which matters only to the callers of [`Window::favour_latency`]. It is also the
/// minimum time that a batch of acknowledgements counts as having taken.
const GRANULARITY: Duration = Duration::from_millis(5);
/// How long [`Window::favour_latency`] applies. A keystroke each 10 s meets the long queue only once.
const FAVOUR: Duration = Duration::from_secs(10);
/// Factor applied to the window after a round trip with a loss, its minimum, and its increase after each
/// round trip without.
const LOSS_CUT: f64 = 0.85;
const LOSS_FLOOR: f64 = 0.7;
const LOSS_REGAIN: f64 = 0.05;

/// The limit of unacknowledged bytes, clocked by the acknowledgements.
///
/// The protocol has no flow control, but the agent acknowledges a message only after its destination
/// took it, so the rate of acknowledgements is the rate of the whole path. The window is
/// [`GAIN`] × the best recent delivery rate × the smallest recent round trip (the model of BBR,
/// draft-ietf-ccwg-bbr, without its pacing).
#[derive(Debug)]
pub(super) struct Window {
    /// Two messages.
    least: usize,
    floor: usize,
    cap: usize,
    delivered: u64,
    delivered_at: Instant,
    /// The latest time at which an acknowledged message was sent.
    acked_sent_at: Instant,
    round: u64,
    round_ends_at: u64,
    /// Best delivery rates by round, in bytes per second, decreasing.
    rates: VecDeque<(u64, f64)>,
    min_rtt: Option<(Duration, Instant)>,
    probe: Option<Probe>,
    start: Option<Start>,
    /// Until when latency counts more than throughput.
    favoured_until: Option<Instant>,
    loss: f64,
    lost_in_round: bool,
    timed_out: bool,
    /// The resulting window: it is read more often than it changes.
    size: usize,
}

/// The path has never been full (BBR's Startup). The acknowledgements of a flight arrive at the rate at
/// which the path takes messages, so the first flight already measures it: a packet train. Doubling
/// alone would take seven round trips to keep the real agent busy over 25 ms.
#[derive(Debug, Default)]
struct Start {
    best: f64,
    rounds_without_growth: u32,
    /// When the first acknowledgement of the round arrived, and the bytes delivered by then.
    train: Option<(Instant, u64)>,
}

/// A new measurement of the minimum round-trip time, over one round of messages that met no queue.
#[derive(Debug, Default)]
struct Probe {
    best: Option<Duration>,
    ends_at_round: Option<u64>,
}

/// State of the path when a message was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    delivered: u64,
    delivered_at: Instant,
    acked_sent_at: Instant,
    sent_at: Instant,
    in_flight: usize,
    /// Too little is in flight to fill the path, so the measured rate may be below the path's.
    limited: bool,
}

impl Window {
    /// `cap` and `floor` are raised to two messages of `max_payload`, since a smaller window could never be
    /// filled; above that `cap` wins over `floor`, since it bounds memory.
    pub(super) fn new(max_payload: usize, floor: usize, cap: usize, now: Instant) -> Self {
        let least = max_payload.saturating_mul(2);
        let cap = cap.max(least);
        let floor = floor.clamp(least, cap);
        Self {
            least,
            floor,
            cap,
            delivered: 0,
            delivered_at: now,
            acked_sent_at: now,
            round: 0,
            round_ends_at: 0,
            rates: VecDeque::new(),
            min_rtt: None,
            probe: None,
            start: Some(Start::default()),
            favoured_until: None,
            loss: 1.0,
            lost_in_round: false,
            timed_out: false,
            size: floor,
        }
    }

    /// Maximum unacknowledged bytes at present.
    pub(super) fn size(&self) -> usize {
        debug_assert_eq!(self.size, self.measure(), "every change ends with `resize`");
        self.size
    }

    /// To be called after every change.
    fn resize(&mut self) {
        self.size = self.measure();
    }

    fn measure(&self) -> usize {
        if self.timed_out {
            return self.floor;
        }
        if self.probe.is_some() {
            return self.short();
        }
        let (granularity, floor) = match self.favoured_until {
            // Four messages: with fewer, three later acknowledgements could not reveal a loss.
            Some(_) => (Duration::ZERO, self.floor.min(self.least.saturating_mul(2))),
            None => (GRANULARITY, self.floor),
        };
        // A float too large for usize saturates.
        ((self.product(self.best_rate(), granularity) * GAIN * self.loss) as usize)
            .saturating_add(floor / 2)
            .clamp(floor, self.cap)
    }

    fn best_rate(&self) -> f64 {
        self.rates.front().map_or(0.0, |(_, rate)| *rate)
    }

    /// The bandwidth-delay product in bytes; 0 before both factors are known.
    fn product(&self, rate: f64, granularity: Duration) -> f64 {
        let min_rtt = self.min_rtt.map_or(Duration::ZERO, |(min, _)| min);
        rate * min_rtt.max(granularity).as_secs_f64()
    }

    /// Interactive data is queued behind a bulk upload: for a while, sizes the window by the distance alone,
    /// even below the floor.
    pub(super) fn favour_latency(&mut self, now: Instant) {
        self.favoured_until = now.checked_add(FAVOUR);
        self.resize();
    }

    /// A window so small that nothing is queued, even if the assumed round-trip time is twice the real one.
    /// It uses the latest rate: an older, better one would leave a queue that passes for distance.
    fn short(&self) -> usize {
        let latest = self.rates.back().map_or(0.0, |(_, rate)| *rate);
        ((self.product(latest, Duration::ZERO) / 2.0) as usize).clamp(self.least, self.cap)
    }

    /// A message is sent while `in_flight` bytes, without its own, are unacknowledged.
    pub(super) fn on_sent(&mut self, now: Instant, in_flight: usize) -> Stamp {
        if self.favoured_until.take_if(|until| *until <= now).is_some() {
            self.resize();
        }
        if in_flight == 0 {
            // Idle time says nothing about the path, and leaves no queue to drain.
            if let Some((_, at)) = &mut self.min_rtt
                && now.saturating_duration_since(self.delivered_at) > MIN_RTT_AGE
            {
                *at = now;
            }
            self.delivered_at = now;
            self.acked_sent_at = now;
        }
        Stamp {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            acked_sent_at: self.acked_sent_at,
            sent_at: now,
            in_flight,
            limited: in_flight < self.size() / 2 || self.probe.is_some() || self.timed_out,
        }
    }

    /// A message of `bytes` was acknowledged. `rtt` is given if it was transmitted exactly once.
    pub(super) fn on_ack(
        &mut self,
        now: Instant,
        bytes: usize,
        stamp: Stamp,
        rtt: Option<Duration>,
    ) {
        self.timed_out = false;
        self.delivered += bytes as u64;
        self.delivered_at = now;
        self.acked_sent_at = self.acked_sent_at.max(stamp.sent_at);
        if stamp.delivered >= self.round_ends_at {
            self.next_round(now, stamp.limited);
        }
        self.observe_train(now, stamp.limited);
        if let Some(rtt) = rtt {
            self.observe_rtt(now, rtt, stamp.in_flight);
            self.observe_round_trip(now, stamp);
        }
        self.resize();
    }

    /// Later acknowledgements showed that a message is lost.
    pub(super) fn on_loss(&mut self) {
        if !self.lost_in_round {
            self.lost_in_round = true;
            self.loss = (self.loss * LOSS_CUT).max(LOSS_FLOOR);
            self.resize();
        }
    }

    /// A whole retransmission timeout passed without an acknowledgement.
    pub(super) fn on_timeout(&mut self) {
        self.timed_out = true;
        self.resize();
    }

    fn next_round(&mut self, now: Instant, limited: bool) {
        self.round += 1;
        self.round_ends_at = self.delivered;
        if !self.lost_in_round {
            self.loss = (self.loss + LOSS_REGAIN).min(1.0);
        }
        self.lost_in_round = false;
        let best = self.best_rate();
        if let Some(start) = &mut self.start {
            start.train = Some((now, self.delivered));
            if best >= start.best * STILL_GROWING {
                start.best = best;
                start.rounds_without_growth = 0;
            } else if !limited {
                start.rounds_without_growth += 1;
            }
            if start.rounds_without_growth >= FULL_ROUNDS {
                self.start = None;
            }
        }
    }

    fn observe_rtt(&mut self, now: Instant, rtt: Duration, in_flight: usize) {
        let Some((_, at)) = self.min_rtt.filter(|(min, _)| rtt > *min) else {
            self.min_rtt = Some((rtt, now));
            self.probe = None;
            return;
        };
        if now.saturating_duration_since(at) <= MIN_RTT_AGE {
            return;
        }
        let short = self.short();
        let probe = self.probe.get_or_insert_default();
        if in_flight > short {
            return; // It was behind the queue that the probe is draining.
        }
        let best = probe.best.map_or(rtt, |best| best.min(rtt));
        probe.best = Some(best);
        if self.round >= *probe.ends_at_round.get_or_insert(self.round + 1) {
            self.min_rtt = Some((best, now));
            self.probe = None;
        }
    }

    /// Measures the rate since the round began.
    fn observe_train(&mut self, now: Instant, limited: bool) {
        let Some((began, delivered)) = self.start.as_ref().and_then(|start| start.train) else {
            return;
        };
        let took = now.saturating_duration_since(began) + GRANULARITY;
        self.observe_rate(
            (self.delivered - delivered) as f64 / took.as_secs_f64(),
            limited,
        );
    }

    /// Measures the rate over the round trip of one message.
    fn observe_round_trip(&mut self, now: Instant, stamp: Stamp) {
        let acking = now.saturating_duration_since(stamp.delivered_at);
        let sending = stamp.sent_at.saturating_duration_since(stamp.acked_sent_at);
        let interval = acking.max(sending).max(Duration::from_micros(1));
        let rate = (self.delivered - stamp.delivered) as f64 / interval.as_secs_f64();
        self.observe_rate(rate, stamp.limited);
    }

    fn observe_rate(&mut self, rate: f64, limited: bool) {
        if limited && rate < self.best_rate() {
            return;
        }
        while self.rates.back().is_some_and(|(_, older)| *older <= rate) {
            self.rates.pop_back();
        }
        self.rates.push_back((self.round, rate));
        while self.rates.len() > 1
            && self
                .rates
                .front()
                .is_some_and(|(round, _)| round + RATE_ROUNDS < self.round)
        {
            self.rates.pop_front();
        }
    }
}
