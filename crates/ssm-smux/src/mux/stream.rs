//! One stream.

use std::time::Instant;

use super::round_robin::Ticket;
use crate::byte_queue::ByteQueue;
use crate::event::PendingEvents;

/// One stream. Idle ones must stay small: there may be thousands.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) received: ByteQueue,
    pub(crate) sending: ByteQueue,
    /// Bytes written since the send buffer was last empty.
    pub(crate) burst: usize,
    /// Opened here; SYN is not sent yet.
    pub(crate) syn_due: bool,
    pub(crate) fin: Fin,
    /// The owner writes no more.
    pub(crate) local_finished: bool,
    /// The peer's FIN arrived: it has forgotten the stream.
    pub(crate) peer_finished: bool,
    /// The owner has closed it; it stays until its FIN is sent.
    pub(crate) released: bool,
    /// It was reset: its data no longer matters.
    pub(crate) dropped: bool,
    /// End of the quiet time, if the stream is half-closed.
    pub(crate) quiet_until: Option<Instant>,
    /// End of its last sent frame, counted in bytes of all frames, until that is delivered.
    pub(crate) sent_to: Option<u64>,
    /// The owner waits for room.
    pub(crate) write_blocked: bool,
    /// `Readable` was reported and no read has blocked since.
    pub(crate) readable_told: bool,
    pub(crate) pending_events: PendingEvents,
    pub(crate) in_ready: Ticket,
    pub(crate) in_events: Ticket,
    pub(crate) in_incoming: Ticket,
}

/// Our FIN: each side sends exactly one per stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fin {
    #[default]
    NotYet,
    /// It follows the queued data.
    Due,
    Sent,
}

impl Stream {
    pub(crate) fn opened_here() -> Self {
        Self {
            syn_due: true,
            ..Self::default()
        }
    }

    pub(crate) fn takes_data(&self) -> bool {
        !self.local_finished && !self.peer_finished
    }

    pub(crate) fn wants_turn(&self) -> bool {
        self.syn_due || !self.sending.is_empty() || self.fin == Fin::Due
    }

    /// Lets our FIN follow the queued data, unless it is sent already.
    pub(crate) fn end(&mut self) {
        self.local_finished = true;
        if self.fin == Fin::NotYet {
            self.fin = Fin::Due;
        }
    }
}
