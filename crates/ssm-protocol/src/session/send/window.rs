use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Twice the bandwidth-delay product: the path is full, and at most one product waits in front of
/// a slow receiver. After the path became faster it doubles the delivery rate every round trip.
const GAIN: f64 = 2.0;
/// The path is full when so many round trips brought no rate so much better than the best before.
const FULL_ROUNDS: u32 = 2;
const STILL_GROWING: f64 = 1.25;
/// How many round trips a measured delivery rate is believed. The window keeps the path full, so
/// each of them measures it; a few more, and a receiver that became slow would be flooded for long.
const RATE_ROUNDS: u64 = 3;
/// How long the smallest round trip is believed before it is measured again with a short queue.
const MIN_RTT_AGE: Duration = Duration::from_secs(10);
/// Round trips below this are scheduling and batching, not distance: both ends on one machine, an
/// upload stops for them all the time with less. What it costs, up to twice as long a queue, matters
/// to nobody but those for whom [`Window::favour_latency`] is called. As long do acknowledgements that
/// arrive together count as having taken at least.
const GRANULARITY: Duration = Duration::from_millis(5);
/// For how long that holds: whoever types on pays the long queue once.
const FAVOUR: Duration = Duration::from_secs(10);
/// Share of the window left after a round with a loss, its floor, and what a clean round gives back.
const LOSS_CUT: f64 = 0.85;
const LOSS_FLOOR: f64 = 0.7;
const LOSS_REGAIN: f64 = 0.05;

/// How many bytes may be unacknowledged, clocked by the acknowledgements.
///
/// The wire has no flow control, but the agent acknowledges a message only after its destination
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
    /// When the message was sent whose acknowledgement came last.
    acked_sent_at: Instant,
    round: u64,
    round_ends_at: u64,
    /// Best delivery rates in bytes a second by round, falling.
    rates: VecDeque<(u64, f64)>,
    min_rtt: Option<(Duration, Instant)>,
    probe: Option<Probe>,
    start: Option<Start>,
    /// Somebody waits behind what is in flight, until then.
    favoured_until: Option<Instant>,
    loss: f64,
    lost_in_round: bool,
    timed_out: bool,
    /// What all of this comes to: asked for more often than it changes.
    size: usize,
}

/// The path was never full yet. The acknowledgements of a flight come one after the other as fast
/// as the path takes messages, so already the first flight tells how many the next may be: a packet
/// train. Doubling alone would take seven round trips to where the real agent is busy over 25 ms.
#[derive(Debug, Default)]
struct Start {
    best: f64,
    rounds_without_growth: u32,
    /// When the round's first acknowledgement came, and what had been delivered with it.
    train: Option<(Instant, u64)>,
}

/// The smallest round trip is being measured anew, over one round of messages that met no queue.
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
    /// Too little is sent to fill the path: the rate measured may be lower than the path's.
    limited: bool,
}

impl Window {
    /// A window below two messages of `max_payload` could never be filled; otherwise the cap wins
    /// over the floor, since it bounds memory.
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

    /// Most bytes that may be unacknowledged now.
    pub(super) fn size(&self) -> usize {
        debug_assert_eq!(self.size, self.measure(), "every change ends with `resize`");
        self.size
    }

    /// To be called after anything changed.
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
            // Four messages: with fewer, no three acknowledgements after a lost one would tell of it.
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

    /// Somebody who sends little waits behind what is in flight: no more of it for a while than
    /// the distance needs, not even the floor.
    pub(super) fn favour_latency(&mut self, now: Instant) {
        self.favoured_until = now.checked_add(FAVOUR);
        self.resize();
    }

    /// So few bytes unacknowledged that none waits in a queue, even when the round trip is
    /// believed to be twice what it is. By the latest rate: by a better one of old a queue would
    /// remain, and pass for distance.
    fn short(&self) -> usize {
        let latest = self.rates.back().map_or(0.0, |(_, rate)| *rate);
        ((self.product(latest, Duration::ZERO) / 2.0) as usize).clamp(self.least, self.cap)
    }

    /// A message is being sent while `in_flight` bytes (itself not counted) are unacknowledged.
    pub(super) fn on_sent(&mut self, now: Instant, in_flight: usize) -> Stamp {
        if self.favoured_until.take_if(|until| *until <= now).is_some() {
            self.resize();
        }
        if in_flight == 0 {
            // Idle time is not the path's fault, and no queue needs to run dry after it.
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

    /// A message of `bytes` was acknowledged. `rtt` only when it was transmitted exactly once.
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

    /// A message was found missing by later acknowledgements.
    pub(super) fn on_loss(&mut self) {
        if !self.lost_in_round {
            self.lost_in_round = true;
            self.loss = (self.loss * LOSS_CUT).max(LOSS_FLOOR);
            self.resize();
        }
    }

    /// Nothing was acknowledged for a whole retransmission timeout.
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
            return; // It waited in the queue that the probe lets run dry.
        }
        let best = probe.best.map_or(rtt, |best| best.min(rtt));
        probe.best = Some(best);
        if self.round >= *probe.ends_at_round.get_or_insert(self.round + 1) {
            self.min_rtt = Some((best, now));
            self.probe = None;
        }
    }

    /// What was delivered since the round began, in the time that took.
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

    /// What was delivered while a message was on its way and its acknowledgement on the way back.
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
