use std::fmt;

use bytes::{Bytes, BytesMut};

/// What one batch of acknowledgements frees, about; 144 KiB of messages of 1 KiB.
const MOST: usize = 128;

/// Buffers of messages that were acknowledged, for the next ones.
///
/// Message by message, what the allocator gets back of one thread does not serve another: a session
/// that several threads have in turn would hold its window as often as there are threads.
#[derive(Default)]
pub(super) struct Spares(Vec<BytesMut>);

impl Spares {
    /// An empty buffer for `capacity` bytes.
    pub(super) fn take(&mut self, capacity: usize) -> BytesMut {
        self.0
            .pop()
            .filter(|buffer| buffer.capacity() >= capacity)
            .unwrap_or_else(|| BytesMut::with_capacity(capacity))
    }

    /// Keeps the buffer of `frame`, unless somebody else still has it or there are enough.
    pub(super) fn put(&mut self, frame: Bytes) {
        if self.0.len() < MOST
            && let Ok(mut buffer) = frame.try_into_mut()
        {
            buffer.clear();
            self.0.push(buffer);
        }
    }

    /// Gives all of them back.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.0.iter().map(BytesMut::capacity).sum()
    }
}

/// Shows how many.
impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spares").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> (Bytes, *const u8) {
        let mut buffer = BytesMut::with_capacity(length);
        buffer.resize(length, 7);
        let frame = buffer.freeze();
        let place = frame.as_ptr();
        (frame, place)
    }

    #[test]
    fn the_next_message_is_written_where_an_acknowledged_one_was() {
        let (sent, place) = frame(1144);
        // As the websocket had it for a while.
        drop(sent.clone());
        let mut spares = Spares::default();
        spares.put(sent);
        // What the allocator got back would go to this one.
        let _other = BytesMut::with_capacity(1144);
        let next = spares.take(1144);
        assert_eq!((next.as_ptr(), next.len()), (place, 0));
    }

    #[test]
    fn what_somebody_still_has_and_what_is_too_small_is_not_written_to() {
        let (sent, place) = frame(1144);
        let unwritten = sent.clone();
        let mut spares = Spares::default();
        spares.put(sent);
        assert_ne!(spares.take(1144).as_ptr(), place);
        assert!(unwritten.iter().all(|byte| *byte == 7));

        spares.put(frame(120).0);
        assert!(spares.take(1144).capacity() >= 1144);
    }

    #[test]
    fn no_more_are_kept_than_a_batch() {
        let mut spares = Spares::default();
        for _ in 0..MOST + 10 {
            spares.put(frame(1144).0);
        }
        assert_eq!(spares.held(), MOST * 1144);
        spares.clear();
        assert_eq!(spares.held(), 0);
    }
}
