//! Why bytes are not a message.

use thiserror::Error;

/// Why bytes are not a message. Each variant names the invalid header field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame ends before its header does.
    #[error("frame of {found} bytes is shorter than the {expected} bytes its header needs")]
    TooShort {
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// HeaderLength is below 116 or points past the end of the frame.
    #[error("HeaderLength is {found}; a frame of {frame} bytes can have 116 to {}", frame.saturating_sub(4))]
    HeaderLength {
        /// The field's value.
        found: u32,
        /// Length of the whole frame in bytes.
        frame: usize,
    },
    /// MessageType is empty or not printable ASCII.
    #[error("MessageType is empty or not ASCII")]
    MessageType,
    /// CreatedDate is zero, which the reference client refuses too.
    #[error("CreatedDate is zero")]
    CreatedDate,
    /// SequenceNumber of a stream-data message is negative.
    #[error("SequenceNumber is {found}")]
    SequenceNumber {
        /// The field's value.
        found: i64,
    },
    /// PayloadLength differs from the number of bytes behind the header.
    #[error("PayloadLength is {declared} but {found} bytes follow")]
    PayloadLength {
        /// The field's value.
        declared: u32,
        /// Bytes there.
        found: usize,
    },
    /// PayloadDigest is not the digest of the payload.
    #[error("PayloadDigest does not match the payload")]
    PayloadDigest,
}
