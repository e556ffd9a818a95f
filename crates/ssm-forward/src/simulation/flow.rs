//! The bytes of one direction of a stream.

use std::time::Instant;

use super::plan::Flow;

/// A byte of a flow: it differs from its neighbours, and flows differ from each other.
pub(super) fn byte(key: u64, at: usize) -> u8 {
    let mixed = (key << 32 ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8 ^ (mixed >> 32) as u8
}

pub(super) fn bytes(key: u64, from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| byte(key, at)).collect()
}

/// The writing side of a flow.
#[derive(Debug)]
pub(super) struct Writer {
    key: u64,
    flow: Flow,
    pub(super) written: usize,
    pub(super) next: Instant,
}

impl Writer {
    pub(super) fn new(key: u64, flow: Flow, next: Instant) -> Self {
        Self {
            key,
            flow,
            written: 0,
            next,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.written == self.flow.bytes
    }

    /// The next bytes, at most `room` and not beyond `end`.
    pub(super) fn write(&mut self, room: usize, end: usize, now: Instant) -> Vec<u8> {
        let end = end.min(self.flow.bytes);
        let count = room.min(self.flow.chunk).min(end - self.written);
        let data = bytes(self.key, self.written, count);
        self.written += count;
        self.next = now + self.flow.write_gap;
        data
    }
}

/// The reading side of a flow.
#[derive(Debug)]
pub(super) struct Reader {
    key: u64,
    flow: Flow,
    pub(super) read: usize,
    pub(super) next: Instant,
}

impl Reader {
    pub(super) fn new(key: u64, flow: Flow, next: Instant) -> Self {
        Self {
            key,
            flow,
            read: 0,
            next,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.read == self.flow.bytes
    }

    /// Asserts that the bytes are the next ones that were sent.
    pub(super) fn take(&mut self, data: &[u8], now: Instant) {
        for (at, found) in (self.read..).zip(data) {
            assert!(
                at < self.flow.bytes,
                "flow {:#x}: more than its {} bytes",
                self.key,
                self.flow.bytes
            );
            let sent = byte(self.key, at);
            assert_eq!(*found, sent, "flow {:#x}: byte {at} differs", self.key);
        }
        self.read += data.len();
        self.next = now + self.flow.read_gap;
        if let Some((_, long)) = self.flow.stall.take_if(|(after, _)| self.read >= *after) {
            self.next = now + long;
        }
    }
}
