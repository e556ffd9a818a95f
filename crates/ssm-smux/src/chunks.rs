use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

/// Chunks shorter than this are copied together, unless one is all there is.
const SMALL: usize = 256;
/// A slice shorter than this part of the buffer it was cut from is copied, so that it does not keep
/// the whole buffer alive.
const WORTH_KEEPING: usize = 4;
/// Copied bytes are handed out in pieces of about this size.
const COPIED: usize = 16 << 10;
/// An empty queue gives back its list if that had grown beyond this.
const IDLE_CAPACITY: usize = 8;

/// Bytes in order, copied only where keeping the slice would cost several times its length.
///
/// It keeps at most about [`WORTH_KEEPING`] times its [`len`](Self::len) in memory; empty, next to
/// nothing.
#[derive(Default)]
pub(crate) struct Chunks {
    chunks: VecDeque<Bytes>,
    /// The end of the queue, where short chunks are collected.
    tail: BytesMut,
    len: usize,
}

impl Chunks {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends `data`, a slice of a buffer of `whole` bytes.
    pub(crate) fn push(&mut self, data: Bytes, whole: usize) {
        let keeps_little = data.len() >= whole / WORTH_KEEPING;
        if keeps_little && (data.len() >= SMALL || self.is_empty()) {
            self.close_tail();
            self.len += data.len();
            self.chunks.push_back(data);
        } else {
            self.len += data.len();
            self.tail.extend_from_slice(&data);
            if self.tail.len() >= COPIED {
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

    /// The next bytes, as they lie in memory.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        if self.chunks.is_empty() {
            self.close_tail();
        }
        let data = self.chunks.pop_front()?;
        self.len -= data.len();
        self.give_back();
        Some(data)
    }

    /// Moves up to `max` bytes to the end of `to`.
    pub(crate) fn copy_to(&mut self, to: &mut BytesMut, max: usize) {
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

    /// Forgets everything; returns how many bytes that were.
    pub(crate) fn clear(&mut self) -> usize {
        std::mem::take(self).len
    }

    fn give_back(&mut self) {
        if self.chunks.is_empty() && self.chunks.capacity() > IDLE_CAPACITY {
            self.chunks = VecDeque::new();
        }
    }
}

/// Shows the length only.
impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("len", &self.len).finish()
    }
}
