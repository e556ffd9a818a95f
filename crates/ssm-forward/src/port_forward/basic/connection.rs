//! The one connection that a basic session carries at a time.

use std::time::Instant;

use bytes::Bytes;
use ssm_smux::{ByteQueue, StreamId};

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: StreamId,
    pub(super) received: ByteQueue,
    pub(super) sending: ByteQueue,
    pub(super) write_blocked: bool,
    /// The wait for the answer, after local end-of-file.
    pub(super) half_close: Option<HalfClose>,
    /// Nothing more arrives; what was received may still be read.
    pub(super) finished: bool,
    /// Ended for the sake of the next connection, perhaps before its answer was complete.
    pub(super) cut_off: bool,
    /// Nothing more is read: flush, then disconnect.
    pub(super) closing: bool,
    /// The first bytes written, as many as identify SSH.
    first_bytes: Vec<u8>,
    /// The destination may have received some bytes twice.
    pub(super) doubled: bool,
}

/// The wait of a half-closed connection for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct HalfClose {
    /// When the connection counts as done if nothing more arrives; `None` for never.
    pub(super) until: Option<Instant>,
    /// When something last arrived, or was still on its way.
    pub(super) active: Instant,
}

/// How both sides of SSH begin (RFC 4253, section 4.2).
const SSH: &[u8] = b"SSH-";

impl Connection {
    /// `received`: what the destination sent before the connection was opened.
    pub(super) fn new(id: StreamId, received: ByteQueue) -> Self {
        Self {
            id,
            received,
            sending: ByteQueue::default(),
            write_blocked: false,
            half_close: None,
            finished: false,
            cut_off: false,
            closing: false,
            first_bytes: Vec::new(),
            doubled: false,
        }
    }

    /// Queues bytes to be sent.
    pub(super) fn write(&mut self, data: Bytes) {
        let missing = SSH.len().saturating_sub(self.first_bytes.len());
        let first = data.get(..missing.min(data.len())).unwrap_or_default();
        self.first_bytes.extend_from_slice(first);
        let whole = data.len();
        self.sending.push(data, whole);
    }

    /// Whether the destination itself detects bytes that arrive twice: SSH authenticates each packet
    /// with its number (RFC 4253, section 6.4).
    pub(super) fn detects_duplicates(&self) -> bool {
        self.first_bytes == SSH
    }

    /// Whether everything is sent of a connection that is closing.
    pub(super) fn is_flushed(&self) -> bool {
        self.closing && self.sending.is_empty()
    }
}
