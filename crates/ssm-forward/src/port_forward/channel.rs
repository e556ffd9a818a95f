//! Smux or basic mode, as the handshake decides.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ssm_protocol::Ready;
use ssm_smux::{Mux, StreamId};

use super::basic::Basic;
use crate::{ForwardConfig, StreamRead, StreamWriteError};

/// How the payloads of messages carry streams.
#[derive(Debug)]
pub(super) enum Channel {
    /// The handshake is not complete, so this is not known yet.
    Pending,
    Mux(Box<Mux>),
    Basic(Box<Basic>),
}

impl Channel {
    /// The mode that the handshake settled.
    pub(super) fn new(ready: &Ready, config: &ForwardConfig, now: Instant) -> Self {
        if !ready.capabilities.multiplexing {
            let doubles = ready.capabilities.processes_before_counting;
            return Self::Basic(Box::new(Basic::new(config, doubles)));
        }
        let mut smux = ssm_smux::MuxConfig::default();
        smux.session_receive_budget = config.session_receive_budget;
        smux.stream_send_buffer = config.stream_send_buffer;
        smux.half_close_quiet = config.half_close_quiet;
        smux.keepalive = keepalive(config.keep_alive, ready.capabilities.smux_keepalive);
        smux.repeatable = ready.capabilities.processes_before_counting;
        let mut mux = Mux::new(ssm_smux::Role::Client, smux, now);
        mux.confirm(0, now);
        Self::Mux(Box::new(mux))
    }

    pub(super) fn open(&mut self) -> Option<StreamId> {
        match self {
            Self::Pending => None,
            Self::Mux(mux) => mux.open().ok(),
            Self::Basic(basic) => basic.open(),
        }
    }

    pub(super) fn read(&mut self, id: StreamId) -> StreamRead {
        match self {
            Self::Pending => StreamRead::Reset,
            Self::Mux(mux) => match mux.read(id) {
                ssm_smux::Read::Data(data) => StreamRead::Data(data),
                ssm_smux::Read::Blocked => StreamRead::Blocked,
                ssm_smux::Read::Finished => StreamRead::Finished,
                _ => StreamRead::Reset,
            },
            Self::Basic(basic) => basic.read(id),
        }
    }

    pub(super) fn writable(&mut self, id: StreamId) -> Option<usize> {
        match self {
            Self::Pending => None,
            Self::Mux(mux) => mux.writable(id),
            Self::Basic(basic) => basic.writable(id),
        }
    }

    pub(super) fn write(&mut self, id: StreamId, data: Bytes) -> Result<(), StreamWriteError> {
        match self {
            Self::Pending => Err(StreamWriteError::Closed),
            Self::Mux(mux) => mux.write(id, data).map_err(|error| match error {
                ssm_smux::WriteError::Full => StreamWriteError::Full,
                _ => StreamWriteError::Closed,
            }),
            Self::Basic(basic) => basic.write(id, data),
        }
    }

    pub(super) fn finish(&mut self, id: StreamId, now: Instant) {
        match self {
            Self::Pending => {}
            Self::Mux(mux) => mux.finish(id, now),
            Self::Basic(basic) => basic.finish(id, now),
        }
    }

    /// How many connections wait for the one that a basic session carries to end.
    pub(super) fn set_waiting(&mut self, waiting: usize) {
        if let Self::Basic(basic) = self {
            basic.set_waiting(waiting);
        }
    }

    pub(super) fn close(&mut self, id: StreamId) {
        match self {
            Self::Pending => {}
            Self::Mux(mux) => mux.close(id),
            Self::Basic(basic) => basic.close(id),
        }
    }

    pub(super) fn reset(&mut self, id: StreamId) {
        match self {
            Self::Pending => {}
            Self::Mux(mux) => mux.reset(id),
            Self::Basic(basic) => basic.reset(id),
        }
    }

    /// Whether the agent may still be writing out what ended streams carried.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Mux(mux) if mux.unanswered() > 0)
    }

    /// Bytes received that have not been read.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        match self {
            Self::Pending => 0,
            Self::Mux(mux) => mux.buffered(),
            Self::Basic(basic) => basic.received(),
        }
    }

    pub(super) fn receive_paused(&self) -> bool {
        match self {
            Self::Pending => false,
            Self::Mux(mux) => mux.receive_paused(),
            Self::Basic(basic) => basic.receive_paused(),
        }
    }

    pub(super) fn wants_transmit(&self) -> bool {
        match self {
            Self::Pending => false,
            Self::Mux(mux) => mux.wants_transmit(),
            Self::Basic(basic) => basic.wants_transmit(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Pending => None,
            Self::Mux(mux) => mux.poll_timeout().map(|(at, _)| at),
            Self::Basic(basic) => basic.poll_timeout(),
        }
    }
}

/// Agents that keep alive hang up without the client's NOPs, so these go out at least as often as
/// theirs. Newer agents never send any: a lost one shows by what it does not acknowledge.
fn keepalive(asked: Option<Duration>, agents: bool) -> Option<ssm_smux::Keepalive> {
    let usual = ssm_smux::Keepalive::default();
    if agents {
        let interval = asked.unwrap_or(usual.interval).min(usual.interval);
        return Some(ssm_smux::Keepalive { interval, ..usual });
    }
    Some(ssm_smux::Keepalive {
        interval: asked?,
        timeout: Duration::MAX,
    })
}
