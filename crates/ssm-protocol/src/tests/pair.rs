use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::peer::control;
use super::{MS, UNIX_TIME, start};
use crate::payload::{HandshakeRequest, SessionProperties};
use crate::wire::{MessageType, PAYLOAD_OFFSET};
use crate::{Event, Session, SessionConfig};

/// The variable that replays one seed.
const SEED_VARIABLE: &str = "SSM_SIM_SEED";
/// Far above what any simulation needs: a loop that does not end fails here.
const MAX_STEPS: usize = 200_000;

/// The seeds of a test: `count` of them, or the one of the environment.
pub(super) fn seeds(count: u64) -> Range<u64> {
    match std::env::var(SEED_VARIABLE) {
        Ok(seed) => {
            let seed = seed.parse().expect("the seed is a number");
            seed..seed + 1
        }
        Err(_) => 0..count,
    }
}

/// Names the seed when a test fails while it lives.
struct Replayable(u64);

impl Drop for Replayable {
    #[expect(
        clippy::print_stderr,
        reason = "a failed simulation has to name its seed"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with {SEED_VARIABLE}={}", self.0);
        }
    }
}

/// Seeded randomness.
#[derive(Debug)]
pub(super) struct Dice(fastrand::Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number in `range`.
    pub(super) fn pick(&mut self, range: Range<u64>) -> u64 {
        range.start + self.0.u64(..) % (range.end - range.start)
    }

    pub(super) fn size(&mut self, range: Range<u64>) -> usize {
        usize::try_from(self.pick(range)).expect("sizes are small")
    }

    pub(super) fn up_to(&mut self, longest: Duration) -> Duration {
        let longest = u64::try_from(longest.as_micros()).expect("times are short");
        Duration::from_micros(self.pick(0..longest + 1))
    }

    /// True in `permille` of 1000 cases.
    pub(super) fn chance(&mut self, permille: u64) -> bool {
        self.pick(0..1000) < permille
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill(&mut bytes);
        bytes
    }
}

/// What the network does to every frame; chances in thousandths.
#[derive(Debug, Clone, Default)]
pub(super) struct Link {
    /// One way.
    pub(super) latency: Duration,
    /// Added at random to each frame, so that frames overtake each other.
    pub(super) jitter: Duration,
    pub(super) dropped: u64,
    pub(super) duplicated: u64,
    /// Held back by many latencies.
    pub(super) delayed: u64,
    /// One payload bit flipped.
    pub(super) damaged: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Agent,
}

/// What happens to one side at a time of the test's choice.
#[derive(Debug, Clone, Copy)]
pub(super) enum Incident {
    /// Its websocket breaks, with all that is on the way, and comes back after this long.
    Cut(Duration),
    Reconnected,
    /// The service pauses publication for this long.
    Pause(Duration),
    Started,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) session: Session,
    /// Port bytes this side sends, and how many of them the session took.
    pub(super) sends: Vec<u8>,
    taken: usize,
    /// Port bytes delivered to this side.
    pub(super) received: Vec<u8>,
    /// Everything else that it was told.
    pub(super) events: Vec<Event>,
    connected: bool,
    inbound: BTreeMap<(Instant, u64), Bytes>,
}

impl End {
    fn new(mut session: Session, now: Instant, sends: Vec<u8>) -> Self {
        session.connected(now);
        Self {
            session,
            sends,
            taken: 0,
            received: Vec::new(),
            events: Vec::new(),
            connected: true,
            inbound: BTreeMap::new(),
        }
    }
}

/// A client and an agent with a network between them.
pub(super) struct Pair {
    pub(super) client: End,
    pub(super) agent: End,
    pub(super) now: Instant,
    pub(super) began: Instant,
    pub(super) link: Link,
    pub(super) dice: Dice,
    pub(super) config: SessionConfig,
    incidents: BTreeMap<(Instant, u64), (Side, Incident)>,
    /// Tells frames and incidents of the same instant apart, oldest first.
    next: u64,
    _replayable: Replayable,
}

impl Pair {
    /// `upload` and `download` are the port bytes the client and the agent send.
    pub(super) fn new(
        seed: u64,
        config: SessionConfig,
        link: Link,
        upload: Vec<u8>,
        download: Vec<u8>,
    ) -> Self {
        let now = start();
        let properties: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
        let request = HandshakeRequest::port("3.3.1142.0", &properties);
        let client = Session::client(config.clone(), [1; 32], now, UNIX_TIME);
        let agent = Session::agent(config.clone(), request, [2; 32], now, UNIX_TIME);
        Self {
            client: End::new(client, now, upload),
            agent: End::new(agent, now, download),
            now,
            began: now,
            link,
            dice: Dice::new(seed),
            config,
            incidents: BTreeMap::new(),
            next: 0,
            _replayable: Replayable(seed),
        }
    }

    pub(super) fn plan(&mut self, after: Duration, side: Side, incident: Incident) {
        self.next += 1;
        let at = self.now + after;
        self.incidents.insert((at, self.next), (side, incident));
    }

    /// Everything was delivered and acknowledged.
    pub(super) fn is_done(&self) -> bool {
        let arrived = |from: &End, to: &End| from.sends.len() == to.received.len();
        self.client.session.is_ready()
            && self.agent.session.is_ready()
            && arrived(&self.client, &self.agent)
            && arrived(&self.agent, &self.client)
            && self.client.session.stats().unacknowledged == 0
            && self.agent.session.stats().unacknowledged == 0
    }

    /// Steps until everything is done and no incident is left.
    pub(super) fn run(&mut self, longest: Duration) {
        for _ in 0..MAX_STEPS {
            self.drain();
            self.check();
            if self.is_done() && self.incidents.is_empty() {
                return;
            }
            assert!(
                self.step(),
                "nothing will ever happen again: {}",
                self.state()
            );
            assert!(
                self.now - self.began <= longest,
                "too slow: {}",
                self.state()
            );
        }
        panic!("no end after {MAX_STEPS} steps: {}", self.state());
    }

    fn state(&self) -> String {
        format!(
            "after {:?}: client {:?} {}/{} bytes, agent {:?} {}/{} bytes, {:?} {:?}",
            self.now - self.began,
            self.client.session.stats(),
            self.agent.received.len(),
            self.client.sends.len(),
            self.agent.session.stats(),
            self.client.received.len(),
            self.agent.sends.len(),
            self.link,
            self.config,
        )
    }

    /// Holds at every moment.
    fn check(&self) {
        let pairs = [(&self.client, &self.agent), (&self.agent, &self.client)];
        for (from, to) in pairs {
            let stats = from.session.stats();
            let window = self.config.max_window + 4096; // the handshake's messages
            assert!(stats.unacknowledged <= window, "{}", self.state());
            assert!(
                stats.reordering <= self.config.reorder_bytes,
                "{}",
                self.state()
            );
            let received = &to.received;
            assert!(
                from.sends.starts_with(received),
                "other bytes: {}",
                self.state()
            );
        }
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Agent => &mut self.agent,
        }
    }

    /// Moves to the next moment at which something happens; false when there is none.
    fn step(&mut self) -> bool {
        let ends = [&self.client, &self.agent];
        let wakes = ends.into_iter().flat_map(|end| {
            let inbound = end.inbound.keys().next().map(|(at, _)| *at);
            [inbound, end.session.poll_timeout().map(|(at, _)| at)]
        });
        let incident = self.incidents.keys().next().map(|(at, _)| *at);
        let Some(next) = wakes.chain([incident]).flatten().min() else {
            return false;
        };
        self.now = self.now.max(next);
        let now = self.now;
        while let Some(entry) = self
            .incidents
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            let (side, incident) = entry.remove();
            self.happen(side, incident);
        }
        for end in [&mut self.client, &mut self.agent] {
            while let Some(entry) = end
                .inbound
                .first_entry()
                .filter(|entry| entry.key().0 <= now)
            {
                let frame = entry.remove();
                end.session
                    .handle_message(frame, now)
                    .expect("no fault here is fatal");
            }
            end.session
                .handle_timeout(now)
                .expect("no fault here is fatal");
        }
        true
    }

    fn happen(&mut self, side: Side, incident: Incident) {
        let now = self.now;
        let end = self.end(side);
        match incident {
            Incident::Cut(down) if end.connected => {
                end.connected = false;
                end.session.disconnected();
                end.inbound.clear();
                // What this side had sent is on the same websocket.
                let other = match side {
                    Side::Client => Side::Agent,
                    Side::Agent => Side::Client,
                };
                self.end(other).inbound.clear();
                self.plan(down, side, Incident::Reconnected);
            }
            Incident::Cut(_) => {}
            Incident::Reconnected => {
                end.connected = true;
                end.session.connected(now);
            }
            Incident::Pause(long) => {
                self.announce(side, MessageType::PausePublication);
                self.plan(long, side, Incident::Started);
            }
            Incident::Started => self.announce(side, MessageType::StartPublication),
        }
    }

    /// The service's own messages are neither lost nor late.
    fn announce(&mut self, side: Side, message_type: MessageType) {
        let now = self.now;
        let end = self.end(side);
        if end.connected {
            let frame = control(message_type, &b"{}"[..]);
            end.session
                .handle_message(frame, now)
                .expect("a sound announcement");
        }
    }

    /// Feeds both sessions, and brings their frames onto the link and their events home.
    pub(super) fn drain(&mut self) {
        for side in [Side::Client, Side::Agent] {
            let now = self.now;
            let chunk = self.dice.size(50..2000);
            let end = self.end(side);
            while end.taken < end.sends.len() {
                let rest = &end.sends[end.taken..];
                let sent = end.session.send_with(now, |frame, room| {
                    frame.extend_from_slice(&rest[..room.min(chunk).min(rest.len())]);
                });
                if sent == 0 {
                    break;
                }
                end.taken += sent;
            }
            while let Some(event) = end.session.poll_event() {
                match event {
                    Event::Data(data) => end.received.extend_from_slice(&data),
                    event => end.events.push(event),
                }
            }
            let frames: Vec<_> =
                std::iter::from_fn(|| self.end(side).session.poll_transmit(now)).collect();
            for frame in frames {
                self.carry(side, frame);
            }
        }
    }

    fn carry(&mut self, from: Side, frame: Bytes) {
        if self.dice.chance(self.link.dropped) {
            return;
        }
        let copies = if self.dice.chance(self.link.duplicated) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut after = self.link.latency + self.dice.up_to(self.link.jitter);
            if self.dice.chance(self.link.delayed) {
                after += (self.link.latency + 1 * MS) * 20;
            }
            let frame = if self.dice.chance(self.link.damaged) {
                self.damage(&frame)
            } else {
                frame.clone()
            };
            self.next += 1;
            let key = (self.now + after, self.next);
            let to = match from {
                Side::Client => &mut self.agent,
                Side::Agent => &mut self.client,
            };
            // The service keeps nothing for a websocket that is gone.
            if to.connected {
                to.inbound.insert(key, frame);
            }
        }
    }

    /// Damage that the digest can tell: the header itself is not protected.
    fn damage(&mut self, frame: &Bytes) -> Bytes {
        let mut frame = frame.to_vec();
        let at = self.dice.size(PAYLOAD_OFFSET as u64..frame.len() as u64);
        if self.dice.chance(500) {
            frame[at] ^= 1 << self.dice.pick(0..8);
        } else {
            frame.truncate(at);
        }
        frame.into()
    }
}
