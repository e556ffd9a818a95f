use std::collections::BTreeMap;

use crate::wire::Message;

/// Memory one kept message costs beyond its payload.
const OVERHEAD: usize = 256;

/// Brings arriving messages into order and says which to acknowledge.
#[derive(Debug)]
pub(super) struct Inbox {
    expected: u64,
    ahead: BTreeMap<u64, Message>,
    kept: usize,
    limit: usize,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is the expected one: process it, then [`Inbox::next_ready`] until there is none.
    InOrder(Message),
    /// Kept until the ones before it arrive. To be acknowledged.
    Ahead,
    /// Known already. To be acknowledged again: the first acknowledgement may be lost, and the
    /// agent resends nothing behind a message it believes missing.
    Duplicate,
    /// No room. Not to be acknowledged: it comes again.
    Refused,
}

impl Inbox {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            expected: 0,
            ahead: BTreeMap::new(),
            kept: 0,
            limit,
        }
    }

    pub(super) fn receive(&mut self, number: u64, message: Message) -> Arrival {
        if number < self.expected || self.ahead.contains_key(&number) {
            return Arrival::Duplicate;
        }
        if number == self.expected {
            self.expected += 1;
            return Arrival::InOrder(message);
        }
        let cost = message.payload.len() + OVERHEAD;
        if self.kept + cost > self.limit {
            return Arrival::Refused;
        }
        self.kept += cost;
        self.ahead.insert(number, message);
        Arrival::Ahead
    }

    /// What the kept messages cost, at most the limit.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// The message that became the expected one.
    pub(super) fn next_ready(&mut self) -> Option<Message> {
        let message = self.ahead.remove(&self.expected)?;
        self.kept -= message.payload.len() + OVERHEAD;
        self.expected += 1;
        Some(message)
    }
}
