use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use ssm_netem::{Faults, LossyLink, Replayable};

use super::peer::control;
use super::{UNIX_TIME, start};
use crate::payload::{HandshakeRequest, SessionProperties};
use crate::wire::{MessageType, PAYLOAD_OFFSET};
use crate::{Session, SessionConfig, SessionEvent};

/// Far above what any simulation needs: a loop that does not end fails here.
const MAX_STEPS: usize = 200_000;

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
    pub(super) events: Vec<SessionEvent>,
    connected: bool,
    inbound: LossyLink,
}

impl End {
    fn new(mut session: Session, faults: &Faults, now: Instant, sends: Vec<u8>) -> Self {
        session.connected(now);
        Self {
            session,
            sends,
            taken: 0,
            received: Vec::new(),
            events: Vec::new(),
            connected: true,
            inbound: LossyLink::new(faults.clone(), now),
        }
    }
}

/// A client and an agent with a network between them.
pub(super) struct Pair {
    pub(super) client: End,
    pub(super) agent: End,
    pub(super) now: Instant,
    pub(super) began: Instant,
    faults: Faults,
    pub(super) random: Rng,
    pub(super) config: SessionConfig,
    incidents: BTreeMap<(Instant, u64), (Side, Incident)>,
    /// Tells incidents of the same instant apart, oldest first.
    next: u64,
    _replayable: Replayable,
}

impl Pair {
    /// `upload` and `download` are the port bytes the client and the agent send.
    pub(super) fn new(
        seed: u64,
        config: SessionConfig,
        faults: Faults,
        upload: Vec<u8>,
        download: Vec<u8>,
    ) -> Self {
        let now = start();
        // The header is not protected by the digest.
        let faults = Faults {
            undamaged: PAYLOAD_OFFSET,
            ..faults
        };
        let properties: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
        let request = HandshakeRequest::port("3.3.1142.0", &properties);
        let client = Session::client(config.clone(), [1; 32], now, UNIX_TIME);
        let agent = Session::agent(config.clone(), request, [2; 32], now, UNIX_TIME);
        Self {
            client: End::new(client, &faults, now, upload),
            agent: End::new(agent, &faults, now, download),
            now,
            began: now,
            faults,
            random: Rng::with_seed(seed),
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
            self.faults,
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
            let inbound = end.inbound.next_arrival();
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
            while let Some(frame) = end.inbound.arrived(now) {
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
                end.inbound.cut(now);
                // What this side had sent is on the same websocket.
                let other = match side {
                    Side::Client => Side::Agent,
                    Side::Agent => Side::Client,
                };
                self.end(other).inbound.cut(now);
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
            let chunk = self.random.usize(50..2000);
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
                    SessionEvent::Data(data) => end.received.extend_from_slice(&data),
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
        let to = match from {
            Side::Client => &mut self.agent,
            Side::Agent => &mut self.client,
        };
        // The service keeps nothing for a websocket that is gone.
        if to.connected {
            to.inbound.send(frame, self.now, &mut self.random);
        }
    }
}
