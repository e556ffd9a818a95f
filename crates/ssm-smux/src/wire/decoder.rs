//! The peer's byte stream, cut into frames.

use bytes::Bytes;

use super::frame::{Frame, HEADER};
use crate::error::SmuxError;
use crate::stream_id::StreamId;

/// Decodes the peer's byte stream, which may be split anywhere, into frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    header: [u8; HEADER],
    filled: usize,
    /// The stream whose data is arriving, and how many bytes are still to come.
    data: Option<(StreamId, usize)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A complete header.
    Frame(Frame),
    /// Part of the data of the last PSH.
    Data(StreamId, Bytes),
}

impl Decoder {
    /// The next piece of `input`; `None` once it is used up.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Result<Option<Piece>, SmuxError> {
        if input.is_empty() {
            return Ok(None);
        }
        if let Some((stream, left)) = self.data.take() {
            let data = input.split_to(left.min(input.len()));
            let left = left - data.len();
            self.data = (left > 0).then_some((stream, left));
            return Ok(Some(Piece::Data(stream, data)));
        }
        let missing = self.header.iter_mut().skip(self.filled);
        let taken = missing.len().min(input.len());
        for (to, from) in missing.zip(input.split_to(taken)) {
            *to = from;
        }
        self.filled += taken;
        if self.filled < HEADER {
            return Ok(None);
        }
        self.filled = 0;
        let frame = Frame::decode(self.header)?;
        if let Frame::Psh { stream, length } = frame
            && length > 0
        {
            self.data = Some((stream, usize::from(length)));
        }
        Ok(Some(Piece::Frame(frame)))
    }
}
