use std::collections::VecDeque;

use crate::stream_id::StreamId;

/// A queue that holds each stream at most once and allows removal from the middle. Its length is
/// bounded by the number of streams.
///
/// Where a stream waits is noted in its own [`Place`], so nothing is searched for by id.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    /// Sorted by ticket. `None` marks a removed stream; the first entry is never `None`.
    queue: VecDeque<(u64, Option<StreamId>)>,
    gaps: usize,
    next_ticket: u64,
}

/// The ticket of a queued stream.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<u64>);

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

    /// Puts `id` last, unless it waits already.
    pub(crate) fn push(&mut self, id: StreamId, place: &mut Place) {
        if place.0.is_none() {
            place.0 = Some(self.next_ticket);
            self.queue.push_back((self.next_ticket, Some(id)));
            self.next_ticket += 1;
        }
    }

    /// Puts the first, which is `id`, last.
    pub(crate) fn rotate(&mut self, id: StreamId, place: &mut Place) {
        if self.queue.len() > 1 {
            self.remove(place);
            self.push(id, place);
        }
    }

    pub(crate) fn remove(&mut self, place: &mut Place) {
        let Some(ticket) = place.0.take() else {
            return;
        };
        let Ok(at) = self
            .queue
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
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
