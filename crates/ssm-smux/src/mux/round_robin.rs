//! Streams that are served in turn.

use std::collections::VecDeque;

use crate::stream_id::StreamId;

/// A queue that holds each stream at most once and allows removal from the middle. Its length is
/// bounded by the number of streams.
///
/// Each stream holds its own [`Ticket`], so nothing is searched for by id.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    /// Sorted by ticket. `None` marks a removed stream; the first entry is never `None`.
    queue: VecDeque<(u64, Option<StreamId>)>,
    gaps: usize,
    next_ticket: u64,
}

/// The ticket of a queued stream.
#[derive(Debug, Default)]
pub(crate) struct Ticket(Option<u64>);

impl RoundRobin {
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn front(&self) -> Option<StreamId> {
        self.queue.front().and_then(|(_, id)| *id)
    }

    /// Appends `id`, unless it is queued already.
    pub(crate) fn push(&mut self, id: StreamId, ticket: &mut Ticket) {
        if ticket.0.is_none() {
            ticket.0 = Some(self.next_ticket);
            self.queue.push_back((self.next_ticket, Some(id)));
            self.next_ticket += 1;
        }
    }

    /// Moves the front stream, which is `id`, to the back.
    pub(crate) fn rotate(&mut self, id: StreamId, ticket: &mut Ticket) {
        if self.queue.len() > 1 {
            self.remove(ticket);
            self.push(id, ticket);
        }
    }

    pub(crate) fn remove(&mut self, ticket: &mut Ticket) {
        let Some(number) = ticket.0.take() else {
            return;
        };
        let Ok(at) = self
            .queue
            .binary_search_by_key(&number, |(ticket, _)| *ticket)
        else {
            return;
        };
        if let Some((_, id)) = self.queue.get_mut(at) {
            *id = None;
            self.gaps += 1;
        }
        while let Some((_, None)) = self.queue.front() {
            self.queue.pop_front();
            self.gaps -= 1;
        }
        if self.gaps > self.queue.len() / 2 {
            self.queue.retain(|(_, id)| id.is_some());
            self.gaps = 0;
        }
    }
}
