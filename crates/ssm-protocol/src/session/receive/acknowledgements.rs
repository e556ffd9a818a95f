//! Acknowledgements that wait to be transmitted.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::payload::Acknowledge;
use crate::session::Session;
use crate::wire::{
    Flags, Header, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType, SequenceNumber,
};

/// Most acknowledgements that wait. Messages beyond are dropped, so that the peer sends them again.
///
/// An agent whose destination does not read takes no acknowledgements, and goes on sending: the limit
/// lets a destination answer twice a whole window of 4 MiB in messages of 1 KiB before that stalls.
pub(in crate::session) const MAX_ACKNOWLEDGEMENTS: usize = 8192;
/// From this many on the caller hands in no more messages.
const PAUSE: usize = MAX_ACKNOWLEDGEMENTS / 2;

/// A message that was taken, and is to be acknowledged.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct Taken {
    pub(in crate::session) id: MessageId,
    pub(in crate::session) number: SequenceNumber,
}

impl Session {
    /// Whether so many acknowledgements wait for [`poll_transmit`](Self::poll_transmit) that no more
    /// messages should be handed in (4,096 of them). Stop reading the websocket until it has taken
    /// some: beyond twice as many, stream data is dropped.
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

/// An empty queue gives back its memory if it had grown beyond this.
const IDLE_CAPACITY: usize = 256;
