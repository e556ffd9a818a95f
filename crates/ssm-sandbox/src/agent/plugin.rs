//! The plugin that serves a session: a port, whose bytes it carries to and from the connections that
//! the agent's driver makes, or a shell.

use std::time::Instant;

use bytes::Bytes;
use ssm_protocol::payload::Flag;
use ssm_protocol::wire::PayloadType;

use super::basic::Basic;
use super::channel::Handler;
use super::connection::{ConnectionId, ToDestination};
use super::mux::MuxPort;
use super::shell::Shell;

/// Chosen once the handshake, if there is one, is complete.
#[derive(Debug)]
pub(super) enum Plugin {
    NotStarted,
    Mux(MuxPort),
    Basic(Basic),
    Shell(Shell),
}

impl Plugin {
    pub(super) fn is_blocked(&self) -> bool {
        match self {
            Self::NotStarted | Self::Shell(_) => false,
            Self::Mux(mux) => mux.is_blocked(),
            Self::Basic(basic) => basic.is_blocked(),
        }
    }

    /// The session's end, with a text for the user.
    pub(super) fn ended(&self) -> Option<&str> {
        match self {
            Self::NotStarted | Self::Shell(_) => None,
            Self::Mux(mux) => mux.is_dead().then_some(""),
            Self::Basic(basic) => basic.ended(),
        }
    }

    pub(super) fn unwritten(&self) -> usize {
        match self {
            Self::NotStarted | Self::Mux(_) | Self::Shell(_) => 0,
            Self::Basic(basic) => basic.unwritten(),
        }
    }

    pub(super) fn poll_dial(&mut self) -> Option<ConnectionId> {
        match self {
            Self::NotStarted | Self::Shell(_) => None,
            Self::Mux(mux) => mux.poll_dial(),
            Self::Basic(basic) => basic.poll_dial(),
        }
    }

    /// Whether to report a failure to the client.
    pub(super) fn dialled(&mut self, id: ConnectionId, outcome: Result<(), String>) -> bool {
        match self {
            Self::NotStarted | Self::Shell(_) => false,
            Self::Mux(mux) => mux.dialled(id, outcome.is_ok()),
            Self::Basic(basic) => {
                basic.dialled(id, outcome);
                false
            }
        }
    }

    pub(super) fn poll_ready(&mut self) -> Option<ConnectionId> {
        match self {
            Self::NotStarted | Self::Shell(_) => None,
            Self::Mux(mux) => mux.poll_ready(),
            Self::Basic(basic) => basic.poll_ready(),
        }
    }

    pub(super) fn next_for_destination(&mut self, id: ConnectionId) -> ToDestination {
        match self {
            Self::NotStarted | Self::Shell(_) => ToDestination::Close,
            Self::Mux(mux) => mux.next_for_destination(id),
            Self::Basic(basic) => basic.next_for_destination(id),
        }
    }

    pub(super) fn room(&self, id: ConnectionId) -> Option<usize> {
        match self {
            Self::NotStarted | Self::Shell(_) => None,
            Self::Mux(mux) => mux.room(id),
            Self::Basic(basic) => basic.room(id),
        }
    }

    pub(super) fn destination_sent(&mut self, id: ConnectionId, data: &[u8]) {
        match self {
            Self::NotStarted | Self::Shell(_) => {}
            Self::Mux(mux) => mux.destination_sent(id, data),
            Self::Basic(basic) => basic.destination_sent(id, data),
        }
    }

    pub(super) fn closed(&mut self, id: ConnectionId) {
        match self {
            Self::NotStarted | Self::Shell(_) => {}
            Self::Mux(mux) => mux.closed(id),
            Self::Basic(basic) => basic.closed(id),
        }
    }

    pub(super) fn wants_transmit(&self) -> bool {
        match self {
            Self::NotStarted => false,
            Self::Mux(mux) => mux.wants_transmit(),
            Self::Basic(basic) => basic.wants_transmit(),
            Self::Shell(shell) => shell.wants_transmit(),
        }
    }

    /// The next stream data, at most `max` bytes.
    pub(super) fn transmit(&mut self, max: usize, now: Instant) -> (PayloadType, Bytes) {
        let data = match self {
            Self::NotStarted => Bytes::new(),
            Self::Mux(mux) => mux.transmit(max),
            Self::Basic(basic) => basic.transmit(max),
            Self::Shell(shell) => shell.transmit(max, now),
        };
        (PayloadType::Output, data)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Mux(mux) => mux.poll_timeout(),
            Self::Shell(shell) => shell.poll_timeout(),
            Self::NotStarted | Self::Basic(_) => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Mux(mux) => mux.handle_timeout(now),
            Self::Shell(shell) => shell.handle_timeout(now),
            Self::NotStarted | Self::Basic(_) => {}
        }
    }
}

/// The plugin as the data channel sees it.
pub(super) struct Served<'a> {
    pub(super) plugin: &'a mut Plugin,
    /// The client sent TerminateSession.
    pub(super) terminated: bool,
}

impl Handler for Served<'_> {
    fn is_ready(&self) -> bool {
        match &*self.plugin {
            Plugin::NotStarted => false,
            Plugin::Mux(_) => true,
            Plugin::Basic(basic) => basic.is_ready(),
            Plugin::Shell(shell) => shell.is_ready(),
        }
    }

    fn handle(&mut self, kind: PayloadType, payload: Bytes) {
        match (kind, &mut *self.plugin) {
            (PayloadType::Output, Plugin::Mux(mux)) => mux.output(&payload),
            (PayloadType::Output, Plugin::Basic(basic)) => basic.output(payload),
            (PayloadType::Flag, plugin) => match (Flag::read(&payload), plugin) {
                (Some(Flag::TerminateSession), _) => self.terminated = true,
                (Some(Flag::DisconnectToPort), Plugin::Basic(basic)) => basic.disconnect(),
                _ => {}
            },
            _ => {}
        }
    }
}
