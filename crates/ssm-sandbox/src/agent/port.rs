//! The agent's port plugin: it carries the data channel's bytes to and from the connections that
//! the agent's driver makes.

use std::time::Instant;

use bytes::Bytes;
use ssm_protocol::payload::Flag;

use super::basic::Basic;
use super::channel::Handler;
use super::connection::{ConnectionId, ToDestination};
use super::mux::MuxPort;
use super::shell::Shell;

/// Chosen once the client's version is known.
#[derive(Debug)]
pub(super) enum Port {
    NotYet,
    Mux(MuxPort),
    Basic(Basic),
    Shell(Shell),
}

impl Port {
    pub(super) fn is_blocked(&self) -> bool {
        match self {
            Self::NotYet | Self::Shell(_) => false,
            Self::Mux(mux) => mux.is_blocked(),
            Self::Basic(basic) => basic.is_blocked(),
        }
    }

    /// The session's end, with a text for the user.
    pub(super) fn ended(&self) -> Option<&str> {
        match self {
            Self::NotYet | Self::Shell(_) => None,
            Self::Mux(mux) => mux.is_dead().then_some(""),
            Self::Basic(basic) => basic.ended(),
        }
    }

    pub(super) fn unwritten(&self) -> usize {
        match self {
            Self::NotYet | Self::Mux(_) | Self::Shell(_) => 0,
            Self::Basic(basic) => basic.unwritten(),
        }
    }

    pub(super) fn poll_dial(&mut self) -> Option<ConnectionId> {
        match self {
            Self::NotYet | Self::Shell(_) => None,
            Self::Mux(mux) => mux.poll_dial(),
            Self::Basic(basic) => basic.poll_dial(),
        }
    }

    /// Whether to report a failure to the client.
    pub(super) fn dialled(&mut self, id: ConnectionId, outcome: Result<(), String>) -> bool {
        match self {
            Self::NotYet | Self::Shell(_) => false,
            Self::Mux(mux) => mux.dialled(id, outcome.is_ok()),
            Self::Basic(basic) => {
                basic.dialled(id, outcome);
                false
            }
        }
    }

    pub(super) fn poll_ready(&mut self) -> Option<ConnectionId> {
        match self {
            Self::NotYet | Self::Shell(_) => None,
            Self::Mux(mux) => mux.poll_ready(),
            Self::Basic(basic) => basic.poll_ready(),
        }
    }

    pub(super) fn next_for_destination(&mut self, id: ConnectionId) -> ToDestination {
        match self {
            Self::NotYet | Self::Shell(_) => ToDestination::Close,
            Self::Mux(mux) => mux.next_for_destination(id),
            Self::Basic(basic) => basic.next_for_destination(id),
        }
    }

    pub(super) fn room(&self, id: ConnectionId) -> Option<usize> {
        match self {
            Self::NotYet | Self::Shell(_) => None,
            Self::Mux(mux) => mux.room(id),
            Self::Basic(basic) => basic.room(id),
        }
    }

    pub(super) fn destination_sent(&mut self, id: ConnectionId, data: &[u8]) {
        match self {
            Self::NotYet | Self::Shell(_) => {}
            Self::Mux(mux) => mux.destination_sent(id, data),
            Self::Basic(basic) => basic.destination_sent(id, data),
        }
    }

    pub(super) fn closed(&mut self, id: ConnectionId) {
        match self {
            Self::NotYet | Self::Shell(_) => {}
            Self::Mux(mux) => mux.closed(id),
            Self::Basic(basic) => basic.closed(id),
        }
    }

    pub(super) fn wants_transmit(&self) -> bool {
        match self {
            Self::NotYet => false,
            Self::Mux(mux) => mux.wants_transmit(),
            Self::Basic(basic) => basic.wants_transmit(),
            Self::Shell(shell) => shell.wants_transmit(),
        }
    }

    pub(super) fn transmit(&mut self, max: usize, now: Instant) -> Bytes {
        match self {
            Self::NotYet => Bytes::new(),
            Self::Mux(mux) => mux.transmit(max),
            Self::Basic(basic) => basic.transmit(max),
            Self::Shell(shell) => shell.transmit(max, now),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Mux(mux) => mux.poll_timeout(),
            Self::Shell(shell) => shell.poll_timeout(),
            Self::NotYet | Self::Basic(_) => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Mux(mux) => mux.handle_timeout(now),
            Self::Shell(shell) => shell.handle_timeout(now),
            Self::NotYet | Self::Basic(_) => {}
        }
    }
}

/// The port as the data channel sees it.
pub(super) struct Plugin<'a> {
    pub(super) port: &'a mut Port,
    pub(super) terminated: bool,
}

impl Handler for Plugin<'_> {
    fn is_ready(&self) -> bool {
        match &*self.port {
            Port::NotYet => false,
            Port::Mux(_) => true,
            Port::Basic(basic) => basic.is_ready(),
            Port::Shell(shell) => shell.is_ready(),
        }
    }

    fn output(&mut self, payload: Bytes) {
        match self.port {
            Port::NotYet | Port::Shell(_) => {}
            Port::Mux(mux) => mux.output(&payload),
            Port::Basic(basic) => basic.output(payload),
        }
    }

    fn flag(&mut self, flag: Flag) {
        match (flag, &mut *self.port) {
            (Flag::TerminateSession, _) => self.terminated = true,
            (Flag::DisconnectToPort, Port::Basic(basic)) => basic.disconnect(),
            _ => {}
        }
    }
}
