//! Arriving messages in order.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::wire::{Message, PayloadType};

/// Memory of a held message beyond its payload: its slot in the tree, which may be half empty, and the
/// allocator's overhead.
const OVERHEAD: usize = 256;
const _: () = assert!(2 * (size_of::<StreamData>() + size_of::<u64>()) + 64 <= OVERHEAD);

/// The part of a stream-data message that is held.
#[derive(PartialEq, Eq)]
pub(in crate::session) struct StreamData {
    pub(in crate::session) kind: PayloadType,
    pub(in crate::session) payload: Bytes,
}

impl From<Message> for StreamData {
    fn from(message: Message) -> Self {
        Self {
            kind: message.header.payload_type,
            payload: message.payload,
        }
    }
}

/// Shows the payload's length only.
impl fmt::Debug for StreamData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamData")
            .field("kind", &self.kind)
            .field("bytes", &self.payload.len())
            .finish()
    }
}

/// Puts arriving messages in order and decides which to acknowledge.
#[derive(Debug)]
pub(in crate::session) struct Inbox {
    expected: u64,
    ahead: BTreeMap<u64, StreamData>,
    kept: usize,
    limit: usize,
}

/// What was done with a message.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::session) enum Arrival {
    /// The expected message: process it, then [`Inbox::next_ready`] until `None`.
    InOrder(StreamData),
    /// Held until the missing ones before it arrive. To be acknowledged.
    Ahead,
    /// A duplicate. To be acknowledged again: the first acknowledgement may be lost, and the agent
    /// resends nothing behind a message that it considers missing.
    Duplicate,
    /// No room. Not to be acknowledged, so that the peer resends it.
    Refused,
}

impl Inbox {
    pub(in crate::session) fn new(limit: usize) -> Self {
        Self {
            expected: 0,
            ahead: BTreeMap::new(),
            kept: 0,
            limit,
        }
    }

    pub(in crate::session) fn receive(&mut self, number: u64, mut message: StreamData) -> Arrival {
        if number < self.expected || self.ahead.contains_key(&number) {
            return Arrival::Duplicate;
        }
        if number == self.expected {
            self.expected += 1;
            return Arrival::InOrder(message);
        }
        let cost = message.payload.len() + OVERHEAD;
        if self.kept.saturating_add(cost) > self.limit {
            return Arrival::Refused;
        }
        // A copy: a slice would keep the whole read buffer alive.
        message.payload = Bytes::copy_from_slice(&message.payload);
        self.kept += cost;
        self.ahead.insert(number, message);
        Arrival::Ahead
    }

    /// Memory of the held messages, at most the limit.
    pub(in crate::session) fn kept(&self) -> usize {
        self.kept
    }

    /// The next held message, if it is the expected one.
    pub(in crate::session) fn next_ready(&mut self) -> Option<StreamData> {
        let message = self.ahead.remove(&self.expected)?;
        self.kept -= message.payload.len() + OVERHEAD;
        self.expected += 1;
        Some(message)
    }
}
