use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use ssm_netem::{Bottleneck, happens, up_to};

use super::peer::{Client, acknowledgement};
use crate::SessionConfig;
use crate::wire::{Message, MessageType, PAYLOAD_OFFSET};

/// A client that uploads without end to an agent behind a long line. The agent handles one
/// message after the other at a fixed rate, and acknowledges each when it has handled it.
pub(super) struct Path {
    pub(super) client: Client,
    pub(super) began: Instant,
    pub(super) delay: Duration,
    agent: Bottleneck,
    /// The agent handles nothing in this time.
    pub(super) stall: Range<Instant>,
    /// Handled acknowledgements leave only at multiples of this, as those of a busy agent.
    pub(super) batch: Duration,
    /// Added at random to the way of each message (without overtaking).
    pub(super) jitter: Duration,
    /// Probability that a message is lost.
    pub(super) lost: f64,
    random: Rng,
    arrived_at: Instant,
    pub(super) longest_queue: usize,
    pub(super) most_in_flight: usize,
    acknowledgements: BTreeMap<(Instant, u64), i64>,
    next: u64,
    /// When how many bytes were handled.
    handled: Vec<(Instant, usize)>,
}

impl Path {
    /// `rate` in bytes a second, `delay` one way.
    pub(super) fn new(config: SessionConfig, rate: usize, delay: Duration) -> Self {
        let mut client = Client::new(config);
        client.ask(&super::peer::port_request()).expect("sound");
        client.complete();
        client.now += 2 * delay;
        client.acknowledge(0);
        let now = client.now;
        Self {
            client,
            began: now,
            delay,
            agent: Bottleneck::new(rate, now),
            stall: now..now,
            batch: Duration::ZERO,
            jitter: Duration::ZERO,
            lost: 0.0,
            random: Rng::with_seed(1),
            arrived_at: now,
            longest_queue: 0,
            most_in_flight: 0,
            acknowledgements: BTreeMap::new(),
            next: 0,
            handled: Vec::new(),
        }
    }

    pub(super) fn round_trip(&self) -> Duration {
        2 * self.delay
    }

    /// Bandwidth-delay product in bytes.
    pub(super) fn product(&self) -> usize {
        (self.agent.rate() * self.round_trip().as_secs_f64()) as usize
    }

    pub(super) fn rate(&self) -> usize {
        self.agent.rate() as usize
    }

    pub(super) fn set_rate(&mut self, rate: usize) {
        self.agent.set_rate(rate);
    }

    /// The time `after` the start.
    pub(super) fn at(&self, after: Duration) -> Instant {
        self.began + after
    }

    /// Uploads as much as the session takes for `time`.
    pub(super) fn upload(&mut self, time: Duration) {
        self.run(time, usize::MAX);
    }

    /// Time passes without new data.
    pub(super) fn idle(&mut self, time: Duration) {
        self.run(time, 0);
    }

    /// Uploads at most `bytes` within `time`.
    pub(super) fn run(&mut self, time: Duration, mut bytes: usize) {
        let end = self.client.now + time;
        let chunk = [0x5a; 65_536];
        loop {
            let (session, now) = (&mut self.client.session, self.client.now);
            while bytes > 0 {
                let sent = session.send_with(now, |frame, room| {
                    frame.extend_from_slice(&chunk[..room.min(bytes).min(chunk.len())]);
                });
                if sent == 0 {
                    break;
                }
                bytes -= sent;
            }
            let in_flight = session.stats().unacknowledged;
            self.most_in_flight = self.most_in_flight.max(in_flight);
            while let Some(frame) = self.client.session.poll_transmit(now) {
                self.carry(frame);
            }
            let answer = self.acknowledgements.keys().next().map(|(at, _)| *at);
            let timer = self.client.session.poll_timeout().map(|(at, _)| at);
            let wakes = [answer, timer].into_iter().flatten();
            let next = wakes.min().map_or(end, |at| at.max(now)).min(end);
            self.client.now = next;
            if next == end {
                return;
            }
            self.client
                .session
                .handle_timeout(next)
                .expect("the agent is not silent for long");
            while let Some(entry) = self.acknowledgements.first_entry()
                && entry.key().0 <= next
            {
                let frame = acknowledgement(MessageType::InputStreamData, entry.remove());
                self.client
                    .session
                    .handle_message(frame, next)
                    .expect("sound");
            }
        }
    }

    fn carry(&mut self, frame: Bytes) {
        let now = self.client.now;
        let bytes = frame.len() - PAYLOAD_OFFSET;
        let message = Message::decode_unverified(frame).expect("ours are sound");
        if happens(&mut self.random, self.lost) {
            return;
        }
        let jitter = up_to(&mut self.random, self.jitter);
        let arrival = (now + self.delay + jitter).max(self.arrived_at);
        self.arrived_at = arrival;
        if self.stall.contains(&self.agent.free_at().max(arrival)) {
            self.agent.hold(self.stall.end);
        }
        let mut answer = self.agent.handle(bytes, arrival);
        self.longest_queue = self.longest_queue.max(self.agent.queued());
        self.handled.push((answer, bytes));
        if !self.batch.is_zero() {
            let since = (answer - self.began).as_micros();
            let batch = self.batch.as_micros();
            let micros = u64::try_from(since.div_ceil(batch) * batch).expect("times are short");
            answer = self.began + Duration::from_micros(micros);
        }
        self.next += 1;
        let key = (answer + self.delay, self.next);
        self.acknowledgements
            .insert(key, message.header.sequence_number.0);
    }

    /// Share of the rate that the agent handled between two times after the start. With losses
    /// this counts what was sent twice, twice.
    pub(super) fn share(&self, from: Duration, to: Duration) -> f64 {
        let range = self.at(from)..self.at(to);
        let handled = self.handled.iter().filter(|(at, _)| range.contains(at));
        let bytes: usize = handled.map(|(_, bytes)| bytes).sum();
        bytes as f64 / (self.agent.rate() * (to - from).as_secs_f64())
    }
}
