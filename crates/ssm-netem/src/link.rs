//! One direction of a connection that loses, duplicates, reorders, delays and damages messages.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;

use crate::{Bottleneck, happens};

/// What happens to the messages of one link. Probabilities are from 0 to 1, for each message.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The time that every message takes.
    pub latency: Duration,
    /// Added at random, up to this much, so that messages overtake each other.
    pub jitter: Duration,
    /// The message is lost.
    pub drop: f64,
    /// It arrives twice.
    pub duplicate: f64,
    /// It takes 20 times as long.
    pub late: f64,
    /// One bit is flipped, or its end is cut off.
    pub damage: f64,
    /// Bytes at the beginning of a message that damage spares, because nothing protects them: no
    /// receiver could tell. A message that is no longer is never damaged.
    pub undamaged: usize,
    /// Bytes per second, if limited.
    pub rate: Option<u32>,
}

impl Faults {
    /// Whether every message arrives, once, in order, as it was sent.
    pub fn lose_nothing(&self) -> bool {
        self.drop + self.duplicate + self.late + self.damage == 0.0 && self.jitter.is_zero()
    }
}

/// One direction of a connection: messages on their way.
#[derive(Debug)]
pub struct LossyLink {
    faults: Faults,
    bottleneck: Option<Bottleneck>,
    /// By arrival, then by order of sending.
    queue: BTreeMap<(Instant, u64), Bytes>,
    count: u64,
    bytes: usize,
    last_arrival: Instant,
    /// Nothing is sent before.
    held_until: Instant,
}

impl LossyLink {
    /// An empty link.
    pub fn new(faults: Faults, now: Instant) -> Self {
        let rate = faults.rate.and_then(|rate| usize::try_from(rate).ok());
        Self {
            faults,
            bottleneck: rate.map(|rate| Bottleneck::new(rate, now)),
            queue: BTreeMap::new(),
            count: 0,
            bytes: 0,
            last_arrival: now,
            held_until: now,
        }
    }

    /// Bytes on their way.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages on their way.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Sends a message, to which the faults apply.
    pub fn send(&mut self, message: Bytes, now: Instant, random: &mut Rng) {
        let sent_at = match &mut self.bottleneck {
            Some(bottleneck) => bottleneck.handle(message.len(), now),
            None => self.held_until.max(now),
        };
        let faults = self.faults.clone();
        if happens(random, faults.drop) {
            return;
        }
        let copies = 1 + usize::from(happens(random, faults.duplicate));
        for _ in 0..copies {
            let mut at = sent_at + faults.latency;
            if faults.jitter.is_zero() {
                at = at.max(self.last_arrival);
                self.last_arrival = at;
            } else {
                at += faults.jitter.mul_f64(random.f64());
            }
            if happens(random, faults.late) {
                at += (faults.latency + Duration::from_millis(1)) * 20;
            }
            let message = if happens(random, faults.damage) {
                damaged(&message, faults.undamaged, random)
            } else {
                message.clone()
            };
            self.insert(message, at);
        }
    }

    /// Sends a message that arrives at once, after everything on its way and before everything sent
    /// later.
    pub fn announce(&mut self, message: Bytes, now: Instant) {
        let last = self.queue.last_key_value().map(|((at, _), _)| *at);
        let at = last.map_or(now, |at| at.max(now)).max(self.last_arrival);
        self.last_arrival = at;
        self.insert(message, at);
    }

    fn insert(&mut self, message: Bytes, at: Instant) {
        self.count += 1;
        self.bytes += message.len();
        self.queue.insert((at, self.count), message);
    }

    /// The next message that has arrived. Call until `None`.
    pub fn arrived(&mut self, now: Instant) -> Option<Bytes> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let message = entry.remove();
        self.bytes -= message.len();
        Some(message)
    }

    /// The next message, whenever it arrives.
    pub fn take_next(&mut self) -> Option<Bytes> {
        let (_, message) = self.queue.pop_first()?;
        self.bytes -= message.len();
        Some(message)
    }

    /// When the next message arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is on its way is lost, as with a connection that breaks.
    pub fn cut(&mut self, now: Instant) {
        self.queue.clear();
        self.bytes = 0;
        self.last_arrival = now;
        self.held_until = now;
        if let Some(bottleneck) = &mut self.bottleneck {
            bottleneck.clear(now);
        }
    }

    /// Nothing arrives before `until`; the order is kept.
    pub fn hold(&mut self, until: Instant) {
        let queue = std::mem::take(&mut self.queue);
        for ((at, count), message) in queue {
            self.queue.insert((at.max(until), count), message);
        }
        self.last_arrival = self.last_arrival.max(until);
        self.held_until = self.held_until.max(until);
        if let Some(bottleneck) = &mut self.bottleneck {
            bottleneck.hold(until);
        }
    }
}

fn damaged(message: &Bytes, undamaged: usize, random: &mut Rng) -> Bytes {
    let mut bytes = message.to_vec();
    if bytes.len() <= undamaged {
        return message.clone();
    }
    let at = random.usize(undamaged..bytes.len());
    if random.bool() {
        bytes[at] ^= 1 << random.u8(..8);
    } else {
        bytes.truncate(at);
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the start"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    /// What arrives of 1000 messages of 100 bytes, one each millisecond.
    fn through(faults: Faults, seed: u64) -> Vec<Bytes> {
        let start = start();
        let mut random = Rng::with_seed(seed);
        let mut link = LossyLink::new(faults, start);
        for number in 0..1000_u32 {
            let mut message = number.to_be_bytes().to_vec();
            message.resize(100, 0);
            link.send(message.into(), start + number * MS, &mut random);
        }
        std::iter::from_fn(|| link.arrived(start + 3600 * 1000 * MS)).collect()
    }

    fn number(message: &Bytes) -> u32 {
        let bytes = message.first_chunk().expect("its number was spared");
        u32::from_be_bytes(*bytes)
    }

    fn numbers(faults: Faults, seed: u64) -> Vec<u32> {
        through(faults, seed).iter().map(number).collect()
    }

    #[test]
    fn a_link_without_faults_delivers_everything_in_order() {
        let slow = Faults {
            latency: 40 * MS,
            rate: Some(1_000_000),
            ..Faults::default()
        };
        for faults in [Faults::default(), slow] {
            assert!(faults.lose_nothing());
            assert_eq!(numbers(faults, 1), (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn faults_follow_the_seed_and_their_probability() {
        let faults = Faults {
            drop: 0.2,
            duplicate: 0.1,
            ..Faults::default()
        };
        let arrived = numbers(faults.clone(), 7);
        assert_eq!(arrived, numbers(faults.clone(), 7));
        assert_ne!(arrived, numbers(faults, 8));
        assert!((800..980).contains(&arrived.len()), "{}", arrived.len());
    }

    #[test]
    fn jitter_and_late_messages_change_the_order_and_lose_nothing() {
        for (jitter, late) in [(20 * MS, 0.0), (Duration::ZERO, 0.1)] {
            let faults = Faults {
                jitter,
                late,
                ..Faults::default()
            };
            let mut arrived = numbers(faults, 3);
            assert!(!arrived.is_sorted(), "nothing was reordered");
            arrived.sort_unstable();
            assert_eq!(arrived, (0..1000).collect::<Vec<_>>());
        }
    }

    #[test]
    fn damage_spares_the_beginning_of_a_message() {
        let faults = Faults {
            damage: 1.0,
            undamaged: 10,
            ..Faults::default()
        };
        let arrived = through(faults, 5);
        assert_eq!(arrived.len(), 1000);
        for (at, message) in (0_u32..).zip(arrived) {
            assert_eq!(number(&message), at);
            assert!(message.len() >= 10);
            let sound = message.len() == 100 && message[4..].iter().all(|byte| *byte == 0);
            assert!(!sound, "message {at} is not damaged");
        }
    }

    #[test]
    fn a_cut_loses_what_is_on_its_way_and_a_hold_delays_it() {
        let start = start();
        let mut random = Rng::with_seed(1);
        let mut link = LossyLink::new(Faults::default(), start);
        link.send(Bytes::from_static(b"lost"), start, &mut random);
        link.cut(start);
        assert_eq!(
            (link.len(), link.bytes(), link.next_arrival()),
            (0, 0, None)
        );
        link.send(Bytes::from_static(b"held"), start, &mut random);
        link.hold(start + 5 * MS);
        link.announce(Bytes::from_static(b"last"), start);
        assert_eq!(link.arrived(start + 4 * MS), None);
        let arrived: Vec<_> = std::iter::from_fn(|| link.arrived(start + 5 * MS)).collect();
        assert_eq!(arrived, [&b"held"[..], b"last"]);
    }

    #[test]
    fn a_limited_rate_spaces_messages_out() {
        let start = start();
        let mut random = Rng::with_seed(1);
        let faults = Faults {
            latency: 10 * MS,
            rate: Some(100_000),
            ..Faults::default()
        };
        let mut link = LossyLink::new(faults, start);
        for _ in 0..3 {
            link.send(vec![0; 100].into(), start, &mut random);
        }
        for arrival in [11, 12, 13] {
            assert_eq!(link.next_arrival(), Some(start + arrival * MS));
            assert!(link.take_next().is_some());
        }
    }
}
