//! The agent's multiplexed port: smux streams to connections
//! (`agent/session/plugins/port/port_mux.go` @1c217c89).

use std::time::Instant;

use bytes::Bytes;

use super::connection::{ConnectionId, ToDestination};
use super::smux::{Received, Smux};

/// All connections of one session, each named by its stream.
#[derive(Debug)]
pub(super) struct MuxPort {
    smux: Smux,
    /// Connections are made one at a time: a slow one delays the next.
    dialling: Option<u32>,
}

impl MuxPort {
    pub(super) fn new(keepalive: bool, receive_buffer: usize, now: Instant) -> Self {
        Self {
            smux: Smux::new(keepalive, receive_buffer, now),
            dialling: None,
        }
    }

    /// All buffers are full: the agent stops reading.
    pub(super) fn is_blocked(&self) -> bool {
        self.smux.is_full()
    }

    /// The smux session failed, which ends the agent's.
    pub(super) fn is_dead(&self) -> bool {
        self.smux.is_dead()
    }

    pub(super) fn output(&mut self, payload: &[u8]) {
        self.smux.handle(payload);
    }

    pub(super) fn poll_dial(&mut self) -> Option<ConnectionId> {
        if self.dialling.is_some() {
            return None;
        }
        self.dialling = self.smux.accept();
        self.dialling.map(ConnectionId)
    }

    /// Takes the outcome of a dial; returns whether to report a failure to the client.
    pub(super) fn dialled(&mut self, id: ConnectionId, connected: bool) -> bool {
        self.dialling.take_if(|dialling| *dialling == id.0);
        if !connected {
            self.smux.close(id.0);
        }
        !connected
    }

    pub(super) fn poll_ready(&mut self) -> Option<ConnectionId> {
        self.smux.poll_ready().map(ConnectionId)
    }

    pub(super) fn next_for_destination(&mut self, id: ConnectionId) -> ToDestination {
        match self.smux.read(id.0) {
            Received::Data(data) => ToDestination::Data(data),
            Received::Nothing => ToDestination::Nothing,
            Received::End => ToDestination::Close,
        }
    }

    pub(super) fn room(&self, id: ConnectionId) -> Option<usize> {
        self.smux.room(id.0)
    }

    pub(super) fn destination_sent(&mut self, id: ConnectionId, data: &[u8]) {
        self.smux.write(id.0, data);
    }

    /// Either side closed the connection, which closes both directions.
    pub(super) fn closed(&mut self, id: ConnectionId) {
        self.smux.close(id.0);
    }

    pub(super) fn wants_transmit(&self) -> bool {
        self.smux.wants_transmit()
    }

    pub(super) fn transmit(&mut self, max: usize) -> Bytes {
        self.smux.transmit(max)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.smux.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.smux.handle_timeout(now);
    }
}
