//! A client and an agent, both ours, and a network that loses, doubles, swaps, damages and cuts
//! whatever the input says. Afterwards the network is sound: everything must arrive, once and in
//! order, in bounded time, with nothing left.

use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use ssm_protocol::payload::{HandshakeRequest, SessionProperties};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType, SequenceNumber,
};
use ssm_protocol::{Session, SessionConfig, SessionEvent};

/// Most steps of one run.
const STEPS: usize = 200;
/// Most messages that travel one way: the network drops what comes beyond.
const ON_THE_WAY: usize = 64;
const UNIX_TIME: Duration = Duration::from_secs(1_790_000_000);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// As for [`super::session`].
pub fn seeds() -> Vec<Vec<u8>> {
    super::session::seeds()
}

/// Runs the steps that `data` describes.
pub fn run(data: &[u8]) {
    let mut unstructured = Unstructured::new(data);
    let Ok(plan) = Plan::arbitrary(&mut unstructured) else {
        return;
    };
    let mut world = World::new(&plan);
    if plan.after_handshake {
        world.settle();
    }
    for _ in 0..STEPS {
        if unstructured.is_empty() {
            break;
        }
        let Ok((second, step)) = <(bool, Step)>::arbitrary(&mut unstructured) else {
            break;
        };
        world.step(usize::from(second), &step);
        world.check();
    }
    world.settle();
    for end in &world.ends {
        assert!(end.session.is_ready());
        assert_eq!(end.ready, 1);
        assert_eq!(end.session.stats().unacknowledged, 0);
        assert_eq!(end.session.stats().reordering, 0);
    }
    let [client, agent] = &world.ends;
    assert_eq!(client.received, agent.sent);
    assert_eq!(agent.received, client.sent);
}

#[derive(Debug, Arbitrary)]
struct Plan {
    max_payload: u8,
    min_window: u16,
    max_window: u16,
    reorder_bytes: u16,
    after_handshake: bool,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Send {
        length: u16,
    },
    Transmit {
        count: u8,
    },
    /// The message at this place arrives: others wait behind or are overtaken.
    Deliver {
        at: u8,
    },
    DeliverAll,
    Drop {
        at: u8,
    },
    DropAll,
    Double {
        at: u8,
    },
    Damage {
        at: u8,
        byte: u16,
        bit: u8,
    },
    Cut,
    Connect,
    Publication {
        pause: bool,
    },
    Wait {
        ms: u16,
    },
    WaitForTimer,
}

struct End {
    session: Session,
    inbound: Vec<Bytes>,
    connected: bool,
    sent: Vec<u8>,
    received: Vec<u8>,
    ready: usize,
}

struct World {
    ends: [End; 2],
    now: Instant,
    config: SessionConfig,
}

impl World {
    fn new(plan: &Plan) -> Self {
        let now = super::start::start();
        let mut config = SessionConfig::default();
        config.max_payload = usize::from(plan.max_payload).max(1);
        config.min_window = usize::from(plan.min_window % 8192);
        config.max_window = usize::from(plan.max_window);
        config.reorder_bytes = usize::from(plan.reorder_bytes % 16_384);
        // What ends a session is not wanted here.
        config.max_bad_messages = u32::MAX;
        config.handshake_timeout = YEAR;
        config.peer_timeout = YEAR;
        let properties: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
        let request = HandshakeRequest::port("3.3.1142.0", &properties);
        let client = Session::client(config.clone(), [1; 32], now, UNIX_TIME);
        let agent = Session::agent(config.clone(), request, [2; 32], now, UNIX_TIME);
        let mut world = Self {
            ends: [client, agent].map(|session| End {
                session,
                inbound: Vec::new(),
                connected: false,
                sent: Vec::new(),
                received: Vec::new(),
                ready: 0,
            }),
            now,
            config,
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        for end in &mut self.ends {
            if !end.connected {
                end.connected = true;
                end.session.connected(self.now);
            }
            end.take_events();
        }
    }

    fn step(&mut self, which: usize, step: &Step) {
        let now = self.now;
        match *step {
            Step::Transmit { count } => self.transmit(which, usize::from(count)),
            Step::Cut => {
                for end in &mut self.ends {
                    end.connected = false;
                    end.inbound.clear();
                    end.session.disconnected();
                }
            }
            Step::Connect => self.connect(),
            Step::Wait { ms } => self.wait(self.now + Duration::from_millis(u64::from(ms))),
            Step::WaitForTimer => {
                if let Some(at) = self.next_timer()
                    && at < self.now + YEAR / 2
                {
                    self.wait(at);
                }
            }
            _ => self.ends[which].step(step, now),
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let timers = self
            .ends
            .iter()
            .filter_map(|end| end.session.poll_timeout());
        timers.map(|(at, _)| at).min().map(|at| at.max(self.now))
    }

    fn wait(&mut self, until: Instant) {
        self.now = until;
        for end in &mut self.ends {
            end.session
                .handle_timeout(self.now)
                .expect("no limit was reached");
            let next = end.session.poll_timeout();
            assert!(
                next.is_none_or(|(at, _)| at > self.now),
                "{next:?} stays due"
            );
            end.take_events();
        }
    }

    fn transmit(&mut self, from: usize, most: usize) {
        for count in 0..most {
            let Some(frame) = self.ends[from].session.poll_transmit(self.now) else {
                return;
            };
            assert!(count < 100_000, "it transmits without end");
            let to = &mut self.ends[1 - from];
            if to.connected && to.inbound.len() < ON_THE_WAY {
                to.inbound.push(frame);
            }
        }
    }

    fn check(&self) {
        let [client, agent] = &self.ends;
        for (from, to) in [(client, agent), (agent, client)] {
            assert!(from.sent.starts_with(&to.received), "other bytes");
            let stats = from.session.stats();
            // Never below two messages; the handshake comes on top.
            let window = self.config.max_window.max(2 * self.config.max_payload);
            assert!(stats.unacknowledged <= window + 4096, "{stats:?}");
            assert!(stats.reordering <= self.config.reorder_bytes, "{stats:?}");
        }
    }

    /// From now on the network is sound.
    fn settle(&mut self) {
        self.connect();
        for which in 0..2 {
            self.ends[which].announce(MessageType::StartPublication, self.now);
        }
        for _ in 0..100_000 {
            self.transmit(0, ON_THE_WAY);
            self.transmit(1, ON_THE_WAY);
            let idle = self.ends.iter().all(|end| end.inbound.is_empty());
            if idle {
                match self.next_timer() {
                    Some(at) => self.wait(at),
                    None => return,
                }
            }
            for end in &mut self.ends {
                end.step(&Step::DeliverAll, self.now);
            }
            self.check();
        }
        panic!(
            "it does not settle: {:?}",
            self.ends.each_ref().map(|end| end.session.stats())
        );
    }
}

impl End {
    fn step(&mut self, step: &Step, now: Instant) {
        match *step {
            Step::Send { length } => {
                // A sequence, so that a gap or a swap shows.
                let from = self.sent.len();
                let room = self.session.send_room();
                let length = usize::from(length).min(room);
                let data: Vec<u8> = (from..from + length).map(|n| (n % 251) as u8).collect();
                self.session.send(&data, now).expect("there is room");
                self.sent.extend(data);
            }
            Step::Deliver { at } => {
                if let Some(at) = self.pick(at) {
                    let frame = self.inbound.remove(at);
                    self.handle(frame, now);
                }
            }
            Step::DeliverAll => {
                for frame in std::mem::take(&mut self.inbound) {
                    self.handle(frame, now);
                }
            }
            Step::Drop { at } => {
                if let Some(at) = self.pick(at) {
                    self.inbound.remove(at);
                }
            }
            Step::DropAll => self.inbound.clear(),
            Step::Double { at } => {
                if let Some(at) = self.pick(at)
                    && let Some(frame) = self.inbound.get(at).cloned()
                {
                    self.inbound.push(frame);
                }
            }
            Step::Damage { at, byte, bit } => {
                if let Some(at) = self.pick(at)
                    && let Some(frame) = self.inbound.get_mut(at)
                {
                    let mut damaged = frame.to_vec();
                    // The header itself is not protected by the digest.
                    let at = PAYLOAD_OFFSET + usize::from(byte);
                    if let Some(byte) = damaged.get_mut(at) {
                        *byte ^= 1 << (bit % 8);
                    }
                    *frame = damaged.into();
                }
            }
            Step::Publication { pause: true } => self.announce(MessageType::PausePublication, now),
            Step::Publication { pause: false } => self.announce(MessageType::StartPublication, now),
            _ => {}
        }
        self.take_events();
    }

    fn pick(&self, at: u8) -> Option<usize> {
        usize::from(at).checked_rem(self.inbound.len())
    }

    fn announce(&mut self, message_type: MessageType, now: Instant) {
        let header = Header {
            message_type,
            schema_version: 1,
            created_date: UNIX_TIME,
            sequence_number: SequenceNumber(0),
            flags: Flags::NONE,
            message_id: MessageId::default(),
            payload_type: PayloadType::None,
        };
        let message = Message {
            header,
            payload: Bytes::from_static(b"{}"),
        };
        if self.connected {
            self.handle(message.encode(), now);
        }
    }

    fn handle(&mut self, frame: Bytes, now: Instant) {
        self.session
            .handle_message(frame, now)
            .expect("no fault here is fatal");
        self.take_events();
    }

    fn take_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Data(data) => {
                    assert_eq!(self.ready, 1, "data before the handshake");
                    self.received.extend_from_slice(&data);
                }
                SessionEvent::Ready(_) => self.ready += 1,
                SessionEvent::Paused | SessionEvent::Started => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
