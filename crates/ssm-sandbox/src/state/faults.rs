//! Faults that a test injects into API calls and the data channel.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::agent::deadline::after;

/// A fault of one API call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ApiFault {
    /// The call is handled (a code is spent) and answered with HTTP 500.
    ErrorAfterHandling,
    /// The call is handled, and the connection is dropped without an answer.
    DropAfterHandling,
    /// The call is not handled; the answer is a throttling error.
    Throttle,
    /// The call is handled; the answer has HTTP 200 and does not parse.
    MalformedBody,
    /// The call is handled; the answer waits for this notification.
    Slow(Arc<Notify>),
    /// The call is handled; the answer's `Date` is ahead by this much.
    DateAhead(Duration),
    /// The call is not handled; the answer is this error.
    Refuse {
        /// The error's code, such as `RegionDisabledException`.
        code: String,
        /// The error's message.
        message: String,
    },
}

/// The `StreamUrl` that ResumeSession answers beside its token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResumeUrl {
    /// As StartSession named it.
    #[default]
    Same,
    /// With another `cell-number` each time; only that URL works from then on.
    NewCell,
    /// An empty string; the client keeps its URL.
    Empty,
    /// No `StreamUrl`; the client keeps its URL.
    Absent,
}

impl ResumeUrl {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Same, Self::NewCell, Self::Empty, Self::Absent];

    /// Its name in scripts: `same`, `new-cell`, `empty`, `absent`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::NewCell => "new-cell",
            Self::Empty => "empty",
            Self::Absent => "absent",
        }
    }
}

/// Faults between the gateway and the client. The same seed makes the same choices for the
/// same messages.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
#[must_use]
pub struct Faults {
    /// Seed of all choices.
    pub seed: u64,
    /// Messages of the agent.
    pub to_client: Lossy,
    /// Messages of the client.
    pub to_agent: Lossy,
    /// Cut the websocket, without a close frame, each time this many messages went through it.
    pub cut_after: Option<u64>,
    /// Close the websocket with code 1000 and "Bye", each time it was open this long: the service
    /// does so about every hour.
    pub bye_after: Option<Duration>,
    /// Break the agent's own websocket each time this many messages went to the agent, while it
    /// acknowledges the next one with port data; 0 counts as 1. The agent is back after 100 ms. From
    /// 3.0.655.0 on it has processed that message without counting it, and processes the repetition
    /// too ([`Sandbox::repeated_messages`](crate::Sandbox::repeated_messages)); older agents
    /// acknowledge first.
    pub agent_breaks_after: Option<u64>,
}

impl Faults {
    /// Sets the seed of all choices.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the faults of the agent's messages.
    pub fn to_client(mut self, faults: Lossy) -> Self {
        self.to_client = faults;
        self
    }

    /// Sets the faults of the client's messages.
    pub fn to_agent(mut self, faults: Lossy) -> Self {
        self.to_agent = faults;
        self
    }

    /// Cuts the websocket each time this many messages went through it.
    pub fn cut_after(mut self, messages: u64) -> Self {
        self.cut_after = Some(messages);
        self
    }

    /// Closes the websocket each time it was open this long.
    pub fn bye_after(mut self, age: Duration) -> Self {
        self.bye_after = Some(age);
        self
    }

    /// Breaks the agent's own websocket each time this many messages went to the agent.
    pub fn agent_breaks_after(mut self, messages: u64) -> Self {
        self.agent_breaks_after = Some(messages);
        self
    }
}

/// Faults of one direction. Probabilities are 0 to 1, for each message.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
#[must_use]
pub struct Lossy {
    /// The message is dropped.
    pub drop: f64,
    /// It arrives twice.
    pub duplicate: f64,
    /// It arrives after the messages of the next few milliseconds.
    pub reorder: f64,
    /// Every message takes this long, up to a day. Order and throughput are not changed.
    pub delay: Duration,
}

impl Lossy {
    /// Sets the probability that a message is dropped.
    pub fn drop(mut self, probability: f64) -> Self {
        self.drop = probability;
        self
    }

    /// Sets the probability that a message arrives twice.
    pub fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate = probability;
        self
    }

    /// Sets the probability that a message arrives after later ones.
    pub fn reorder(mut self, probability: f64) -> Self {
        self.reorder = probability;
        self
    }

    /// Sets the delay of every message.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// How much later a reordered message arrives.
const REORDERED_BY: Duration = Duration::from_millis(5);
/// Maximum delay of a message.
const MOST_DELAY: Duration = Duration::from_secs(24 * 3600);
/// Maximum messages in flight; beyond that the sender waits.
const MOST_ON_THE_WAY: usize = 1 << 16;

/// The messages in flight in one direction.
#[derive(Debug)]
pub(crate) struct Wire {
    faults: Lossy,
    random: fastrand::Rng,
    queue: BTreeMap<(Instant, u64), Bytes>,
    count: u64,
    /// Without faults messages need no clock.
    direct: Option<VecDeque<Bytes>>,
}

impl Wire {
    pub(crate) fn new(faults: Lossy, seed: u64) -> Self {
        let Lossy {
            drop,
            duplicate,
            reorder,
            delay,
        } = faults;
        let delay = delay.min(MOST_DELAY);
        let faults = Lossy { delay, ..faults };
        let faulty = drop > 0.0 || duplicate > 0.0 || reorder > 0.0 || !delay.is_zero();
        Self {
            faults,
            random: fastrand::Rng::with_seed(seed),
            queue: BTreeMap::new(),
            count: 0,
            direct: (!faulty).then(VecDeque::new),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() + self.direct.as_ref().map_or(0, VecDeque::len) >= MOST_ON_THE_WAY
    }

    pub(crate) fn send(&mut self, message: Bytes, now: Instant) {
        if let Some(direct) = &mut self.direct {
            direct.push_back(message);
            return;
        }
        let Lossy {
            drop,
            duplicate,
            reorder,
            delay,
        } = self.faults;
        if self.happens(drop) {
            return;
        }
        let late = if self.happens(reorder) {
            REORDERED_BY
        } else {
            Duration::ZERO
        };
        if self.happens(duplicate) {
            self.push(message.clone(), after(now, delay));
        }
        self.push(message, after(now, delay.saturating_add(late)));
    }

    fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.random.f64() < probability
    }

    fn push(&mut self, message: Bytes, at: Instant) {
        self.count += 1;
        self.queue.insert((at, self.count), message);
    }

    /// The next message that has arrived.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<Bytes> {
        if let Some(direct) = &mut self.direct {
            return direct.pop_front();
        }
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// When the next one arrives.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Every message in flight with its time of arrival, in order.
    pub(crate) fn drain(&mut self, now: Instant) -> impl Iterator<Item = (Instant, Bytes)> + use<> {
        let direct = self.direct.as_mut().map(std::mem::take).unwrap_or_default();
        let queue = std::mem::take(&mut self.queue);
        let late = queue.into_iter().map(|((at, _), message)| (at, message));
        direct
            .into_iter()
            .map(move |message| (now, message))
            .chain(late)
    }

    /// The connection broke: messages in flight are lost.
    pub(crate) fn cut(&mut self) {
        self.queue.clear();
        if let Some(direct) = &mut self.direct {
            direct.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(faults: Lossy, seed: u64, count: u32) -> Vec<u32> {
        let start = Instant::now();
        let mut wire = Wire::new(faults, seed);
        let mut arrived = Vec::new();
        for number in 0..count {
            let now = start + Duration::from_millis(u64::from(number));
            wire.send(Bytes::copy_from_slice(&number.to_be_bytes()), now);
            while let Some(message) = wire.arrived(now) {
                arrived.push(message);
            }
        }
        while let Some(message) = wire.arrived(start + Duration::from_secs(3600)) {
            arrived.push(message);
        }
        let number = |message: &Bytes| {
            message
                .first_chunk()
                .map(|bytes| u32::from_be_bytes(*bytes))
        };
        arrived.iter().filter_map(number).collect()
    }

    #[test]
    fn without_faults_everything_arrives_in_order() {
        let slow = Lossy {
            delay: Duration::from_millis(40),
            ..Lossy::default()
        };
        for faults in [Lossy::default(), slow] {
            assert_eq!(through(faults, 1, 100), (0..100).collect::<Vec<_>>());
        }
    }

    #[test]
    fn messages_in_flight_are_drained_in_order_of_arrival() {
        let now = Instant::now();
        let slow = Lossy {
            reorder: 0.5,
            delay: Duration::from_millis(40),
            ..Lossy::default()
        };
        for faults in [Lossy::default(), slow] {
            let (mut drained, mut awaited) = (Wire::new(faults, 3), Wire::new(faults, 3));
            for number in 0..100 {
                drained.send(Bytes::copy_from_slice(&[number]), now);
                awaited.send(Bytes::copy_from_slice(&[number]), now);
            }
            let drained: Vec<_> = drained.drain(now).collect();
            assert_eq!(drained.len(), 100);
            for (at, message) in drained {
                assert_eq!(awaited.next_arrival().unwrap_or(now), at);
                assert_eq!(awaited.arrived(at), Some(message));
            }
        }
    }

    #[test]
    fn faults_follow_the_seed_and_the_requested_rate() {
        let faults = Lossy {
            drop: 0.2,
            duplicate: 0.1,
            reorder: 0.1,
            ..Lossy::default()
        };
        let arrived = through(faults, 7, 1000);
        assert_eq!(arrived, through(faults, 7, 1000));
        assert_ne!(arrived, through(faults, 8, 1000));
        assert!((800..980).contains(&arrived.len()), "{}", arrived.len());
        assert!(
            arrived.windows(2).any(|pair| pair[0] > pair[1]),
            "nothing was reordered"
        );
    }
}
