use std::fmt;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::error::SmuxError;

/// Most data one frame can carry: its length field has 16 bits.
pub const MAX_DATA: usize = 65535;

pub(crate) const HEADER: usize = 8;
const VERSION: u8 = 1;

/// Number of a stream within a session: odd when the client opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u32);

impl StreamId {
    /// The id with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Syn = 0,
    Fin = 1,
    Psh = 2,
    Nop = 3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) command: Command,
    pub(crate) length: u16,
    pub(crate) stream: StreamId,
}

impl Header {
    pub(crate) fn write(self, to: &mut BytesMut) {
        to.put_u8(VERSION);
        to.put_u8(self.command as u8);
        to.put_u16_le(self.length);
        to.put_u32_le(self.stream.0);
    }

    fn read(header: &[u8; HEADER]) -> Result<Self, SmuxError> {
        let mut bytes = header.as_slice();
        match bytes.get_u8() {
            VERSION => {}
            found => return Err(SmuxError::Version { found }),
        }
        let command = match bytes.get_u8() {
            0 => Command::Syn,
            1 => Command::Fin,
            2 => Command::Psh,
            3 => Command::Nop,
            found => return Err(SmuxError::Command { found }),
        };
        Ok(Self {
            command,
            length: bytes.get_u16_le(),
            stream: StreamId(bytes.get_u32_le()),
        })
    }
}

/// Cuts the peer's byte stream, arriving in any pieces, into frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    partial: [u8; HEADER],
    filled: usize,
    /// The frame whose data is arriving, and how much of it is still to come.
    body: Option<(Header, usize)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A frame began.
    Frame(Header),
    /// Data of the last frame that began.
    Data(Header, Bytes),
}

impl Decoder {
    /// The next piece of `input`; `None` when it is used up.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Result<Option<Piece>, SmuxError> {
        if let Some((header, left)) = self.body
            && left > 0
        {
            if input.is_empty() {
                return Ok(None);
            }
            let data = input.split_to(left.min(input.len()));
            self.body = Some((header, left - data.len()));
            return Ok(Some(Piece::Data(header, data)));
        }
        let take = (HEADER - self.filled).min(input.len());
        let part = input.split_to(take);
        for (to, from) in self.partial.iter_mut().skip(self.filled).zip(&part) {
            *to = *from;
        }
        self.filled += take;
        if self.filled < HEADER {
            return Ok(None);
        }
        self.filled = 0;
        let header = Header::read(&self.partial)?;
        self.body = Some((header, usize::from(header.length)));
        Ok(Some(Piece::Frame(header)))
    }
}
