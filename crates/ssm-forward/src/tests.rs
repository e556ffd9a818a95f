//! The state machine against the agent's role of `ssm-protocol`, one behaviour at a time.

mod basic;
mod half_close;
mod keep_alive;
mod multiplexed;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ssm_protocol::payload::{Flag, HandshakeRequest, SessionProperties};
use ssm_protocol::wire::{
    Flags, Header, Message, MessageId, MessageType, PayloadType, SequenceNumber,
};
use ssm_protocol::{Session, SessionConfig, SessionError};
use ssm_smux::{Mux, Role, SmuxError, StreamId};

use crate::{ForwardConfig, ForwardError, ForwardEvent, PortForward, StreamRead};

const LATENCY: Duration = Duration::from_millis(5);
pub(crate) const NEW_AGENT: &str = "3.3.1142.0";
const OLD_AGENT: &str = "3.0.196.0";

/// Any instant: time is an argument everywhere.
#[expect(clippy::disallowed_methods, reason = "the only way to make one")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// A forward and an agent, in virtual time.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) forward: PortForward,
    pub(crate) agent: Session,
    agent_events: Vec<ssm_protocol::SessionEvent>,
    events: Vec<ForwardEvent>,
}

impl Pair {
    pub(crate) fn new(agent_version: &str) -> Self {
        Self::with_config(agent_version, ForwardConfig::default())
    }

    fn with_config(agent_version: &str, config: ForwardConfig) -> Self {
        Self::with_type("LocalPortForwarding", agent_version, config)
    }

    /// With a document of that `type`; the SSH document has none.
    fn with_type(type_: &str, agent_version: &str, config: ForwardConfig) -> Self {
        let mut pair = Self::connected(type_, agent_version, config);
        pair.become_ready();
        pair
    }

    /// Connected, before the first message.
    fn connected(type_: &str, agent_version: &str, config: ForwardConfig) -> Self {
        let now = start();
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
        let mut forward = PortForward::new(config, [2; 32], now, unix);
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
        // The client waits until the agent keeps what it receives.
        self.pass(Duration::from_millis(250));
        assert!(self.events.contains(&ForwardEvent::Ready));
    }

    /// Exchanges messages until neither side has any.
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

    /// Bytes that the agent has received since the last call.
    fn agent_bytes(&mut self) -> Vec<u8> {
        let data = self.agent_events.iter().filter_map(|event| match event {
            ssm_protocol::SessionEvent::Data(data) => Some(data.to_vec()),
            _ => None,
        });
        let bytes = data.flatten().collect();
        self.agent_events.clear();
        bytes
    }

    fn agent_flags(&self) -> Vec<Flag> {
        let flags = self.agent_events.iter().filter_map(|event| match event {
            ssm_protocol::SessionEvent::Flag(flag) => Some(*flag),
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

    fn read_all(&mut self, id: StreamId) -> (Vec<u8>, StreamRead) {
        let mut bytes = Vec::new();
        loop {
            match self.forward.read(id) {
                StreamRead::Data(data) => bytes.extend_from_slice(&data),
                other => return (bytes, other),
            }
        }
    }
}

/// Drives the agent's side of smux once.
fn serve(pair: &mut Pair, mux: &mut Mux) {
    let bytes = pair.agent_bytes();
    mux.handle(bytes.into(), pair.now).expect("smux");
    let mut out = BytesMut::new();
    mux.poll_transmit(&mut out, usize::MAX);
    pair.agent_sends(&out);
}

fn server(pair: &Pair) -> Mux {
    Mux::new(Role::Server, ssm_smux::MuxConfig::default(), pair.now)
}

/// 12,000 bytes wait for the stream's reader, more than the receive budget.
fn paused() -> (Pair, StreamId) {
    let config = ForwardConfig {
        session_receive_budget: 10_000,
        ..ForwardConfig::default()
    };
    let mut pair = Pair::with_config(NEW_AGENT, config);
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

/// A message of the service, which does not number its messages.
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

/// The client's websocket is down for this long.
fn outage(pair: &mut Pair, long: Duration) {
    pair.forward.disconnected(pair.now).expect("sound");
    pair.now += long;
    pair.forward.connected(pair.now);
    pair.forward
        .handle_timeout(pair.now)
        .expect("an outage is not the agent being silent");
    pair.settle();
}
