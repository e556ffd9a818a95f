//! Both ends of a data channel and of a multiplexer, connected in memory.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use ssm_protocol::payload::{HandshakeRequest, SessionProperties};
use ssm_protocol::{Session, SessionConfig};
use ssm_smux::{Mux, MuxConfig, Role, StreamId};

use crate::PAYLOAD;

/// Two connected data channels whose handshake is complete.
#[derive(Debug)]
pub struct Channels {
    client: Session,
    agent: Session,
    now: Instant,
}

impl Channels {
    /// `config` is the client's.
    pub fn new(config: SessionConfig) -> Self {
        let now = Instant::now();
        let unix = Duration::from_secs(1_795_000_000);
        let properties: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
        let request = HandshakeRequest::port("3.3.4851.0", &properties);
        let mut agent = Session::agent(SessionConfig::default(), request, [1; 32], now, unix);
        let mut client = Session::client(config, [2; 32], now, unix);
        agent.connected(now);
        client.connected(now);
        let mut pair = Self { client, agent, now };
        pair.exchange();
        // The client waits a moment after the handshake before it sends.
        while let (0, Some((at, _))) = (pair.client.send_room(), pair.client.poll_timeout()) {
            pair.now = pair.now.max(at);
            pair.client.handle_timeout(pair.now).expect("sound");
            pair.exchange();
        }
        pair
    }

    /// Queues the client's next message; the next [`exchange`](Self::exchange) sends it.
    pub fn send(&mut self, payload: &[u8]) {
        self.client
            .send(payload, self.now)
            .expect("the window is open");
    }

    /// Exchanges messages until both sides are idle.
    pub fn exchange(&mut self) {
        loop {
            self.now += Duration::from_micros(10);
            let mut quiet = true;
            while let Some(message) = self.client.poll_transmit(self.now) {
                quiet = false;
                self.agent.handle_message(message, self.now).expect("sound");
            }
            while let Some(message) = self.agent.poll_transmit(self.now) {
                quiet = false;
                self.client
                    .handle_message(message, self.now)
                    .expect("sound");
            }
            while self.agent.poll_event().is_some() {}
            while self.client.poll_event().is_some() {}
            if quiet {
                return;
            }
        }
    }
}

/// Two connected multiplexers.
#[derive(Debug)]
pub struct Muxes {
    /// The side that opens streams.
    pub client: Mux,
    /// The side that accepts them.
    pub server: Mux,
    /// Open, idle streams.
    pub streams: Vec<StreamId>,
    now: Instant,
}

impl Muxes {
    /// Two multiplexers with this many open streams.
    pub fn with_streams(count: usize) -> Self {
        let now = Instant::now();
        let mut client = Mux::new(Role::Client, MuxConfig::default(), now);
        let server = Mux::new(Role::Server, MuxConfig::default(), now);
        let mut pair = Self {
            streams: (0..count).map(|_| client.open().expect("room")).collect(),
            client,
            server,
            now,
        };
        pair.pass();
        while pair.server.accept().is_some() {}
        pair
    }

    /// Passes the client's frames to the server, in messages.
    pub fn pass(&mut self) {
        pass(&mut self.client, &mut self.server, self.now);
    }

    /// Opens a stream that both sides close at once.
    pub fn open_and_close(&mut self) {
        let stream = self.client.open().expect("room");
        self.client.close(stream);
        self.pass();
        while let Some(stream) = self.server.accept() {
            self.server.close(stream);
        }
        pass(&mut self.server, &mut self.client, self.now);
    }
}

fn pass(from: &mut Mux, to: &mut Mux, now: Instant) {
    while from.wants_transmit() {
        let mut message = BytesMut::with_capacity(PAYLOAD);
        from.poll_transmit(&mut message, PAYLOAD);
        to.handle(message.freeze(), now).expect("smux");
    }
    while from.poll_event().is_some() {}
    while to.poll_event().is_some() {}
}
