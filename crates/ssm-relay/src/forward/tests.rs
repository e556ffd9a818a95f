//! The state machine against `ssm-protocol`'s agent, one thing at a time.

mod basic;
mod keep_alive;
mod multiplexed;
mod waits;

use bytes::BytesMut;
use ssm_protocol::payload::{HandshakeRequest, SessionProperties};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};
use ssm_smux::{Mux, Role};

use super::*;

const LATENCY: Duration = Duration::from_millis(5);
pub(crate) const NEW_AGENT: &str = "3.3.1142.0";
const OLD_AGENT: &str = "3.0.196.0";

/// A forward and an agent, in virtual time.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) forward: Forward,
    pub(crate) agent: Session,
    agent_events: Vec<ssm_protocol::Event>,
    events: Vec<Event>,
}

impl Pair {
    pub(crate) fn new(agent_version: &str) -> Self {
        Self::with_limits(agent_version, Limits::default())
    }

    fn with_limits(agent_version: &str, limits: Limits) -> Self {
        Self::with_type("LocalPortForwarding", agent_version, limits)
    }

    /// With a document of that `type`; the SSH document has none.
    fn with_type(type_: &str, agent_version: &str, limits: Limits) -> Self {
        let mut pair = Self::connected(type_, agent_version, limits);
        pair.become_ready();
        pair
    }

    /// Nothing was said yet.
    fn connected(type_: &str, agent_version: &str, limits: Limits) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let properties: SessionProperties = [("portNumber", "3389"), ("type", type_)]
            .into_iter()
            .collect();
        let unix = Duration::from_secs(1_800_000_000);
        let mut agent = Session::agent(
            SessionConfig::default(),
            HandshakeRequest::port(agent_version, &properties),
            [1; 32],
            now,
            unix,
        );
        agent.connected(now);
        let mut forward = Forward::new(limits, [2; 32], now, unix);
        forward.connected(now);
        Self {
            now,
            forward,
            agent,
            agent_events: Vec::new(),
            events: Vec::new(),
        }
    }

    fn become_ready(&mut self) {
        self.settle();
        // Until the agent keeps what it is sent.
        self.pass(Duration::from_millis(250));
        assert!(self.events.contains(&Event::Ready));
    }

    /// Exchanges messages until nobody has any.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.now += LATENCY;
            let mut quiet = true;
            while !self.agent.receive_paused()
                && let Some(message) = self.forward.poll_transmit(self.now)
            {
                quiet = false;
                self.agent
                    .handle_message(message, self.now)
                    .expect("sound messages");
            }
            while let Some(message) = self.agent.poll_transmit(self.now) {
                quiet = false;
                self.forward
                    .handle_message(message, self.now)
                    .expect("sound messages");
            }
            while let Some(event) = self.agent.poll_event() {
                self.agent_events.push(event);
            }
            while let Some(event) = self.forward.poll_event() {
                self.events.push(event);
            }
            if quiet {
                return;
            }
        }
        panic!("the exchange does not end");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.forward
            .handle_timeout(self.now)
            .expect("no deadline passed");
        self.settle();
    }

    /// Bytes the agent got since the last call.
    fn agent_bytes(&mut self) -> Vec<u8> {
        let data = self.agent_events.iter().filter_map(|event| match event {
            ssm_protocol::Event::Data(data) => Some(data.to_vec()),
            _ => None,
        });
        let bytes = data.flatten().collect();
        self.agent_events.clear();
        bytes
    }

    fn agent_flags(&self) -> Vec<Flag> {
        let flags = self.agent_events.iter().filter_map(|event| match event {
            ssm_protocol::Event::Flag(flag) => Some(*flag),
            _ => None,
        });
        flags.collect()
    }

    fn agent_sends(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(1024) {
            self.agent
                .send(chunk, self.now)
                .expect("the agent's window has room");
            self.settle();
        }
    }

    fn read_all(&mut self, id: StreamId) -> (Vec<u8>, Read) {
        let mut bytes = Vec::new();
        loop {
            match self.forward.read(id) {
                Read::Data(data) => bytes.extend_from_slice(&data),
                other => return (bytes, other),
            }
        }
    }
}

/// The agent's side of smux over the pair's agent.
fn serve(pair: &mut Pair, mux: &mut Mux) {
    let bytes = pair.agent_bytes();
    mux.handle(bytes.into(), pair.now).expect("smux");
    let mut out = BytesMut::new();
    mux.poll_transmit(&mut out, usize::MAX);
    pair.agent_sends(&out);
}

fn server(pair: &Pair) -> Mux {
    Mux::new(Role::Server, ssm_smux::Config::default(), pair.now)
}

/// 12,000 sevens wait for the stream's reader, more than the session keeps.
fn paused() -> (Pair, StreamId) {
    let limits = Limits {
        session_receive_budget: 10_000,
        ..Limits::default()
    };
    let mut pair = Pair::with_limits(NEW_AGENT, limits);
    let mut mux = server(&pair);
    let id = pair.forward.open().expect("ready");
    pair.settle();
    serve(&mut pair, &mut mux);
    mux.write(id, vec![7; 12_000].into()).expect("open");
    serve(&mut pair, &mut mux);
    assert!(pair.forward.receive_paused());
    (pair, id)
}

fn publication(message_type: MessageType) -> Bytes {
    control(message_type, Bytes::new())
}

/// A message of the service, which numbers nothing.
pub(crate) fn control(message_type: MessageType, payload: Bytes) -> Bytes {
    let header = Header {
        message_type,
        schema_version: 1,
        created_date: Duration::from_secs(1),
        sequence_number: SequenceNumber(0),
        flags: Flags::NONE,
        message_id: MessageId::default(),
        payload_type: PayloadType::None,
    };
    Message { header, payload }.encode()
}

/// The client's websocket is away for that long.
fn outage(pair: &mut Pair, long: Duration) {
    pair.forward.disconnected(pair.now).expect("sound");
    pair.now += long;
    pair.forward.connected(pair.now);
    pair.forward
        .handle_timeout(pair.now)
        .expect("an outage is nobody's silence");
    pair.settle();
}
