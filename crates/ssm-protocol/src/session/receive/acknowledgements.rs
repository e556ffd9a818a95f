//! Queued acknowledgements.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::payload::Acknowledge;
use crate::session::Session;
use crate::wire::{
    Flags, Header, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType, SequenceNumber,
};

/// Maximum queued acknowledgements. Messages beyond are dropped, so that the peer resends them.
///
/// An agent whose destination does not read takes no acknowledgements but continues to send: the limit
/// lets a destination answer twice the window of 4 MiB in messages of 1 KiB before it stalls.
pub(in crate::session) const MAX_ACKNOWLEDGEMENTS: usize = 8192;
/// With this many queued the caller should hand in no more messages.
const PAUSE: usize = MAX_ACKNOWLEDGEMENTS / 2;

/// A message that is to be acknowledged.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Taken {
    pub(in crate::session) id: MessageId,
    pub(in crate::session) number: SequenceNumber,
}

impl Session {
    /// Whether 4,096 or more acknowledgements are queued for [`poll_transmit`](Self::poll_transmit): stop
    /// reading the websocket until some of them are transmitted. With 8,192 queued, stream data is
    /// dropped.
    #[must_use]
    pub fn receive_paused(&self) -> bool {
        self.acknowledgements.len() >= PAUSE
    }

    pub(in crate::session) fn acknowledge(&mut self, taken: Taken) {
        self.acknowledgements.push_back(taken);
    }

    /// The next acknowledgement as a message.
    pub(in crate::session) fn poll_acknowledgement(&mut self, now: Instant) -> Option<Bytes> {
        let taken = self.acknowledgements.pop_front()?;
        if self.acknowledgements.is_empty() && self.acknowledgements.capacity() > IDLE_CAPACITY {
            self.acknowledgements = Default::default();
        }
        let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + 192);
        frame.resize(PAYLOAD_OFFSET, 0);
        let body = Acknowledge {
            message_type: self.side.receives(),
            message_id: taken.id,
            sequence_number: taken.number,
        };
        body.write(&mut frame);
        let header = Header {
            message_type: MessageType::Acknowledge,
            schema_version: 1,
            created_date: self.unix_time(now),
            sequence_number: SequenceNumber(0),
            flags: Flags::SYN | Flags::FIN,
            message_id: self.message_id(),
            payload_type: PayloadType::None,
        };
        header.seal(&mut frame);
        Some(frame.freeze())
    }
}

/// An empty queue with more capacity than this releases its memory.
const IDLE_CAPACITY: usize = 256;
