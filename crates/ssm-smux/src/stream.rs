use std::time::Instant;

use crate::byte_queue::ByteQueue;
use crate::event::PendingEvents;
use crate::round_robin::Place;

/// One stream. Idle ones must stay small: there may be thousands.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) received: ByteQueue,
    pub(crate) sending: ByteQueue,
    /// Bytes written since nothing was queued.
    pub(crate) burst: usize,
    /// Opened here; SYN is not sent yet.
    pub(crate) syn_due: bool,
    pub(crate) fin: Fin,
    /// Nothing more is written here.
    pub(crate) local_finished: bool,
    /// The peer's FIN came: it has forgotten the stream.
    pub(crate) peer_finished: bool,
    /// The owner has closed it; it stays until its FIN is sent.
    pub(crate) released: bool,
    /// It was reset: its data no longer matters.
    pub(crate) dropped: bool,
    /// When the wait for the answer ends, while there is one.
    pub(crate) quiet_until: Option<Instant>,
    /// Where in what goes to the peer the last of it ends, unless that has reached the peer.
    pub(crate) sent_to: Option<u64>,
    /// The owner waits for room.
    pub(crate) write_blocked: bool,
    /// `Readable` was reported and no read has blocked since.
    pub(crate) readable_told: bool,
    pub(crate) pending_events: PendingEvents,
    pub(crate) in_ready: Place,
    pub(crate) in_events: Place,
    pub(crate) in_incoming: Place,
}

/// Each side sends exactly one FIN a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fin {
    #[default]
    NotYet,
    /// It follows what is queued.
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

    /// Our FIN follows what is queued, unless it is out already.
    pub(crate) fn end(&mut self) {
        self.local_finished = true;
        if self.fin == Fin::NotYet {
            self.fin = Fin::Due;
        }
    }
}
