//! A queue of bytes in bounded memory.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

/// Approximate memory of a kept chunk beyond its bytes: its slot in the queue, the allocator's overhead, and
/// the header of the message that it is a slice of.
const OVERHEAD: usize = 256;
/// Approximate size of the blocks in which copied bytes are collected.
const BLOCK: usize = 16 << 10;
/// An empty queue with more capacity than this releases its memory.
const IDLE_CAPACITY: usize = 8;

/// A queue of bytes that occupies at most about twice its [`len`](Self::len) in memory, and almost none when
/// empty. Slices are kept where that is cheap; small ones are copied into shared blocks.
#[derive(Default)]
pub struct ByteQueue {
    chunks: VecDeque<Bytes>,
    /// The end of the queue, where copied bytes are collected.
    tail: BytesMut,
    len: usize,
}

impl ByteQueue {
    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `data`, which is a slice of a buffer of `whole` bytes and would keep it alive.
    pub fn push(&mut self, data: Bytes, whole: usize) {
        self.len = self.len.saturating_add(data.len());
        let worth_keeping = data.len().saturating_mul(2) >= whole.saturating_add(OVERHEAD);
        // A block is filled before the next slice is kept: a short block between slices would cost more
        // than it holds.
        if worth_keeping && self.tail.is_empty() {
            self.chunks.push_back(data);
        } else {
            self.tail.extend_from_slice(&data);
            if self.tail.len() >= BLOCK {
                self.close_tail();
            }
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.chunks.push_back(tail.freeze());
        }
    }

    /// The next chunk; `None` when the queue is empty.
    #[must_use]
    pub fn pop(&mut self) -> Option<Bytes> {
        if self.chunks.is_empty() {
            self.close_tail();
        }
        let data = self.chunks.pop_front()?;
        self.len -= data.len();
        self.give_back();
        Some(data)
    }

    /// Moves up to `max` bytes from the front to the end of `to`.
    pub fn copy_to(&mut self, to: &mut BytesMut, max: usize) {
        let mut room = max.min(self.len);
        while room > 0 {
            if self.chunks.is_empty() {
                self.close_tail();
            }
            let Some(first) = self.chunks.front_mut() else {
                return;
            };
            let count = first.len().min(room);
            if let Some(part) = first.get(..count) {
                to.extend_from_slice(part);
            }
            first.advance(count);
            if first.is_empty() {
                self.chunks.pop_front();
            }
            room -= count;
            self.len -= count;
        }
        self.give_back();
    }

    /// Drops everything, and returns the number of bytes dropped.
    pub fn clear(&mut self) -> usize {
        std::mem::take(self).len
    }

    fn give_back(&mut self) {
        if self.chunks.is_empty() && self.chunks.capacity() > IDLE_CAPACITY {
            self.chunks = VecDeque::new();
        }
    }
}

/// Shows the length only.
impl fmt::Debug for ByteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteQueue").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes of memory that the queue keeps, each buffer in `buffers` counted with its [`OVERHEAD`] as
    /// long as a slice of it is kept.
    fn held(queue: &ByteQueue, buffers: &[Bytes]) -> usize {
        let kept = buffers.iter().filter(|buffer| !buffer.is_unique());
        let slices: usize = kept.map(|buffer| buffer.len() + OVERHEAD / 2).sum();
        let inside = |chunk: &&Bytes| {
            let within = |buffer: &Bytes| buffer.as_ptr_range().contains(&chunk.as_ptr());
            !buffers.iter().any(within)
        };
        let blocks: usize = queue.chunks.iter().filter(inside).map(Bytes::len).sum();
        slices + blocks + queue.tail.capacity() + queue.chunks.capacity() * size_of::<Bytes>()
    }

    proptest! {
        #[test]
        fn memory_is_within_twice_the_length(
            pieces in prop::collection::vec((1_usize..3000, 1_usize..3000), 1..300),
        ) {
            let mut queue = ByteQueue::default();
            let mut expected = Vec::new();
            let mut buffers = Vec::new();
            for (at, (length, whole)) in pieces.into_iter().enumerate() {
                let whole = whole.max(length);
                let buffer = Bytes::from(vec![at as u8; whole]);
                let piece = buffer.slice(whole - length..);
                expected.extend_from_slice(&piece);
                queue.push(piece, whole);
                buffers.push(buffer);
            }
            prop_assert_eq!(queue.len(), expected.len());
            let most = 2 * queue.len() + 1024;
            prop_assert!(held(&queue, &buffers) <= most, "{} of {most}", held(&queue, &buffers));
            let mut all = Vec::new();
            while let Some(data) = queue.pop() {
                all.extend_from_slice(&data);
            }
            prop_assert_eq!(all, expected);
            prop_assert_eq!(queue.len(), 0);
        }
    }

    #[test]
    fn a_few_bytes_do_not_keep_a_large_buffer_alive() {
        let mut queue = ByteQueue::default();
        let whole = Bytes::from(vec![7; 64 << 10]);
        for at in 0..64 {
            queue.push(whole.slice(at * 1024..at * 1024 + 1000), whole.len());
        }
        assert!(whole.is_unique(), "1000 of 65536 bytes were copied");
        let mut queue = ByteQueue::default();
        queue.push(whole.slice(..40 << 10), whole.len());
        assert!(!whole.is_unique(), "more than half of it is worth keeping");
    }

    #[test]
    fn a_whole_message_is_kept_without_a_copy() {
        let mut queue = ByteQueue::default();
        let message = Bytes::from(vec![7; 1024]);
        queue.push(message.slice(8..), message.len());
        let data = queue.pop().expect("what was pushed");
        assert_eq!(data.as_ptr(), message.slice(8..).as_ptr());
    }

    #[test]
    fn tiny_chunks_are_joined() {
        let mut queue = ByteQueue::default();
        for at in 0..100_000_u32 {
            queue.push(Bytes::copy_from_slice(&[at as u8]), 1);
        }
        let mut all = Vec::new();
        let mut count = 0;
        while let Some(data) = queue.pop() {
            all.extend_from_slice(&data);
            count += 1;
        }
        assert_eq!(count, 100_000_usize.div_ceil(16 << 10));
        assert!(all.iter().enumerate().all(|(at, byte)| *byte == at as u8));
        assert_eq!(all.len(), 100_000);
    }

    #[test]
    fn short_and_long_chunks_keep_their_order() {
        let mut queue = ByteQueue::default();
        let mut expected = Vec::new();
        for (at, length) in [1, 1000, 5, 255, 256, 17_000, 2].into_iter().enumerate() {
            let data = vec![at as u8; length];
            expected.extend_from_slice(&data);
            queue.push(data.into(), length);
        }
        let mut copied = BytesMut::new();
        for max in [1, 3, 500, 10_000, usize::MAX] {
            queue.copy_to(&mut copied, max);
        }
        assert_eq!(copied, expected);
        assert!(queue.is_empty());
    }
}
