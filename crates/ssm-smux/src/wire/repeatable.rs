//! Messages that the peer may process more than once with the effect of once.
//!
//! An agent that passes a message on before it counts it as received does so again when its own
//! websocket breaks in between: the message comes again, and always right behind its first
//! processing, since the agent expects that number and no other. A repeated piece of a smux stream
//! would end every stream, or worse. The messages built here leave the peer's parser in the same
//! state when they come again, and do nothing.
//!
//! They rely on this: smux reads the data of a PSH for a stream that does not exist, and throws it
//! away (`vendor/github.com/xtaci/smux/session.go`, `recvLoop`, of `aws/amazon-ssm-agent` @1c217c89;
//! the same @677437f6, the first agent with that habit). `D(n)` is the header of such a PSH, for
//! stream 0, which no side ever opens; `F` is whole frames. The parser enters a message at the
//! border of a frame (odd messages), or while it discards the 8 bytes that the `D(8)` at the end of
//! the message before announced (even ones):
//!
//! | message | bytes | fresh | again |
//! |---|---|---|---|
//! | odd | `D(8)` `D(len F)` `F` `D(8)` | `D(8)` discards the second header, `F` is read, the last `D(8)` announces | the first header is what was announced, `D(len F)` discards `F`, the last `D(8)` announces |
//! | even | `D(len F)` `F` | the header is what was announced, `F` is read | `D(len F)` discards `F` |
//!
//! Both columns end in the same state, so a message may come any number of times. It costs 24 and 8
//! bytes in turn, and no frame may go on in the next message.

use bytes::{BufMut as _, BytesMut};

use super::frame::{Frame, HEADER, MAX_DATA};
use crate::stream_id::StreamId;

/// Most that is put around the frames of one message.
const MOST_AROUND: usize = 3 * HEADER;

/// Smallest `max` of [`Mux::poll_transmit`](crate::Mux::poll_transmit), in bytes, with which a
/// [repeatable](crate::MuxConfig::repeatable) message always has room for a frame: with less, nothing is
/// sent.
pub const MIN_REPEATABLE: usize = MOST_AROUND + HEADER + 1;

/// What one message leaves to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Repeatable {
    /// The peer discards the next 8 bytes.
    announced: bool,
}

impl Repeatable {
    /// Appends one message of at most `max` bytes around the whole frames that `fill` appends;
    /// `fill` gets the most bytes they may have, which always is enough for one. Returns how many
    /// bytes the message has: none if `fill` appended none, or if `max` is too small for any frame.
    pub(crate) fn append(
        &mut self,
        to: &mut BytesMut,
        max: usize,
        fill: impl FnOnce(&mut BytesMut, usize),
    ) -> usize {
        let around = if self.announced { HEADER } else { MOST_AROUND };
        let room = max.saturating_sub(around).min(MAX_DATA);
        if room <= HEADER {
            return 0;
        }
        let start = to.len();
        if !self.announced {
            to.put_slice(&discard(HEADER));
        }
        let header = to.len();
        to.put_bytes(0, HEADER);
        let frames = to.len();
        fill(to, room);
        let length = to.len() - frames;
        debug_assert!(length <= room, "frames of {length} bytes in {room}");
        if length == 0 {
            to.truncate(start);
            return 0;
        }
        if let Some(place) = to.get_mut(header..frames) {
            place.copy_from_slice(&discard(length));
        }
        if !self.announced {
            to.put_slice(&discard(HEADER));
        }
        self.announced = !self.announced;
        to.len() - start
    }
}

/// The header of data that the peer reads and throws away; at most [`MAX_DATA`] bytes.
fn discard(length: usize) -> [u8; HEADER] {
    Frame::Psh {
        stream: StreamId::new(0),
        length: u16::try_from(length).unwrap_or(u16::MAX),
    }
    .encode()
}
