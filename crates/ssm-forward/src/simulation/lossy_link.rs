use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ssm_protocol::wire::PAYLOAD_OFFSET;

/// What happens to the messages of one leg; probabilities for each message.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    pub(super) latency: Duration,
    /// Added at random, so that messages overtake each other.
    pub(super) jitter: Duration,
    pub(super) drop: f64,
    pub(super) duplicate: f64,
    /// Held back by many latencies.
    pub(super) late: f64,
    /// Bits flipped or cut off, where a digest or length can tell.
    pub(super) damage: f64,
    /// Bytes a second, if limited.
    pub(super) rate: Option<u32>,
}

impl Faults {
    /// Every message arrives, once, as it was sent.
    pub(super) fn lose_nothing(&self) -> bool {
        self.drop + self.duplicate + self.late + self.damage == 0.0 && self.jitter.is_zero()
    }
}

/// One direction of one websocket: messages on their way.
#[derive(Debug)]
pub(super) struct LossyLink {
    faults: Faults,
    /// By arrival, then by order of sending.
    queue: BTreeMap<(Instant, u64), Bytes>,
    count: u64,
    bytes: usize,
    free_at: Instant,
    last_arrival: Instant,
}

impl LossyLink {
    pub(super) fn new(faults: Faults, now: Instant) -> Self {
        Self {
            faults,
            queue: BTreeMap::new(),
            count: 0,
            bytes: 0,
            free_at: now,
            last_arrival: now,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Sends a message as the network pleases.
    pub(super) fn send(&mut self, message: Bytes, now: Instant, dice: &mut fastrand::Rng) {
        let faults = &self.faults;
        if let Some(rate) = faults.rate {
            let time = Duration::from_secs_f64(message.len() as f64 / f64::from(rate));
            self.free_at = self.free_at.max(now) + time;
        }
        let sent_at = self.free_at.max(now);
        if happens(dice, faults.drop) {
            return;
        }
        let copies = 1 + usize::from(happens(dice, faults.duplicate));
        for _ in 0..copies {
            let mut at = sent_at + self.faults.latency;
            if self.faults.jitter.is_zero() {
                at = at.max(self.last_arrival);
                self.last_arrival = at;
            } else {
                at += self.faults.jitter.mul_f64(dice.f64());
            }
            if happens(dice, self.faults.late) {
                at += (self.faults.latency + Duration::from_millis(1)) * 20;
            }
            let message = if happens(dice, self.faults.damage) {
                damaged(&message, dice)
            } else {
                message.clone()
            };
            self.insert(message, at);
        }
    }

    /// The gateway's own messages are neither lost nor overtaken by what it relays after them.
    pub(super) fn announce(&mut self, message: Bytes, now: Instant) {
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

    pub(super) fn arrived(&mut self, now: Instant) -> Option<Bytes> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let message = entry.remove();
        self.bytes -= message.len();
        Some(message)
    }

    /// The next message, whenever it arrives.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let (_, message) = self.queue.pop_first()?;
        self.bytes -= message.len();
        Some(message)
    }

    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is on its way is lost with the websocket.
    pub(super) fn cut(&mut self, now: Instant) {
        self.queue.clear();
        self.bytes = 0;
        self.free_at = now;
        self.last_arrival = now;
    }

    /// Nothing arrives until `until`; order is kept.
    pub(super) fn hold(&mut self, until: Instant) {
        let queue = std::mem::take(&mut self.queue);
        for ((at, count), message) in queue {
            self.queue.insert((at.max(until), count), message);
        }
        self.last_arrival = self.last_arrival.max(until);
        self.free_at = self.free_at.max(until);
    }
}

pub(super) fn happens(dice: &mut fastrand::Rng, probability: f64) -> bool {
    probability > 0.0 && dice.f64() < probability
}

/// Damage that the digest or the length can tell: the header itself is not protected.
fn damaged(message: &Bytes, dice: &mut fastrand::Rng) -> Bytes {
    let mut bytes = message.to_vec();
    if bytes.len() <= PAYLOAD_OFFSET {
        return message.clone();
    }
    let at = dice.usize(PAYLOAD_OFFSET..bytes.len());
    if dice.bool() {
        bytes[at] ^= 1 << dice.u8(..8);
    } else {
        bytes.truncate(at);
    }
    bytes.into()
}
