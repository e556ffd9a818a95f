//! Frames for the peer, stream by stream in turn.

use bytes::{BufMut as _, BytesMut};

use super::Mux;
use super::stream::Fin;
use crate::wire::{Frame, HEADER};

/// Maximum size of a frame that is built when none fits into the caller's buffer: what does not fit is
/// kept for the next call.
const CUT_FRAME: usize = 1024;
/// Maximum size of a burst that counts as interactive: a keystroke, a mouse movement, a query.
const LITTLE: usize = 4096;

impl Mux {
    /// Whether [`poll_transmit`](Self::poll_transmit) has something to append.
    #[must_use]
    pub fn wants_transmit(&self) -> bool {
        !self.dead
            && (self.liveness.nop_due()
                || !self.partial_frame.is_empty()
                || !self.refused.is_empty()
                || !self.ready.is_empty())
    }

    /// Appends up to `max` bytes of frames to `to`, and returns the number of bytes.
    ///
    /// Streams are served in turn, one frame each; SYN precedes the data of a stream and FIN follows it, in
    /// the same turn where they fit. Frames are built to fit, so up to 8 bytes may stay free although
    /// [`wants_transmit`](Self::wants_transmit) is still true. Only if `max` is too small for any frame,
    /// one is split and continues in the next call.
    ///
    /// With [`MuxConfig::repeatable`](crate::MuxConfig::repeatable), the bytes of one call are one message:
    /// they must reach the peer in one piece, and `max` must be at least
    /// [`MIN_REPEATABLE`](crate::MIN_REPEATABLE).
    pub fn poll_transmit(&mut self, to: &mut BytesMut, max: usize) -> usize {
        self.append_message(to, max, usize::MAX)
    }

    /// Like [`poll_transmit`](Self::poll_transmit), for the NOP alone. Appends nothing unless one is
    /// [due](Self::keepalive_due).
    pub fn poll_keepalive(&mut self, to: &mut BytesMut, max: usize) -> usize {
        if !self.keepalive_due() {
            return 0;
        }
        // It comes before everything else.
        self.append_message(to, max, HEADER)
    }

    /// Appends a message of which at most `most` bytes are frames.
    fn append_message(&mut self, to: &mut BytesMut, max: usize, most: usize) -> usize {
        let Some(mut repeatable) = self.repeatable else {
            return self.append_frames(to, max.min(most));
        };
        let appended = repeatable.append(to, max, |to, room| {
            self.append_frames(to, room.min(most));
        });
        self.repeatable = Some(repeatable);
        appended
    }

    fn append_frames(&mut self, to: &mut BytesMut, max: usize) -> usize {
        let start = to.len();
        let mut room = if self.dead { 0 } else { max };
        loop {
            let part = self
                .partial_frame
                .split_to(self.partial_frame.len().min(room));
            to.extend_from_slice(&part);
            room -= part.len();
            if room == 0 || !self.wants_transmit() {
                break;
            }
            let before = to.len();
            if self.append_frame(to, room) {
                room -= to.len() - before;
                self.made += (to.len() - before) as u64;
            } else if to.len() > start {
                break;
            } else {
                let mut frame = BytesMut::new();
                self.append_frame(&mut frame, CUT_FRAME);
                self.made += frame.len() as u64;
                self.partial_frame = frame.freeze();
                if self.partial_frame.is_empty() {
                    break;
                }
            }
        }
        to.len() - start
    }

    /// Whether a stream sent a burst of at most 4 KiB while another one had more to send, since the last
    /// call: interactive data may be queued behind a bulk upload.
    pub fn take_overtook(&mut self) -> bool {
        std::mem::take(&mut self.overtook)
    }

    /// Bytes of frames that [`poll_transmit`](Self::poll_transmit) has returned so far.
    #[must_use]
    pub fn transmitted(&self) -> u64 {
        self.made - self.partial_frame.len() as u64
    }

    /// Appends the next frame, if there is one and it fits into `room`.
    fn append_frame(&mut self, to: &mut BytesMut, room: usize) -> bool {
        if room < HEADER {
            return false;
        }
        if self.liveness.take_nop() {
            to.put_slice(&Frame::Nop.encode());
            return true;
        }
        if let Some(id) = self.refused.pop_front() {
            to.put_slice(&Frame::Fin(id).encode());
            return true;
        }
        let Some(id) = self.ready.front() else {
            return false;
        };
        let (start, made) = (to.len(), self.made);
        let mut little = false;
        let Some(stream) = self.streams.get_mut(&id) else {
            return false;
        };
        if stream.syn_due {
            to.put_slice(&Frame::Syn(id).encode());
            stream.syn_due = false;
            self.half_close_timers
                .sent(id, stream, made + (to.len() - start) as u64);
        } else if !stream.sending.is_empty() {
            let most = self.config.max_frame_data.min(room - HEADER);
            let Ok(length) = u16::try_from(stream.sending.len().min(most)) else {
                return false;
            };
            if length == 0 {
                return false;
            }
            to.put_slice(&Frame::Psh { stream: id, length }.encode());
            stream.sending.copy_to(to, usize::from(length));
            self.half_close_timers
                .sent(id, stream, made + (to.len() - start) as u64);
            little = stream.sending.is_empty() && stream.burst <= LITTLE;
            if !stream.sending.is_empty() {
                self.ready.rotate(id, &mut stream.in_ready);
            }
            if stream.write_blocked && stream.sending.len() <= self.config.stream_send_buffer / 2 {
                stream.write_blocked = false;
                stream.pending_events.writable = true;
                self.events.push(id, &mut stream.in_events);
            }
        } else if stream.fin == Fin::Due {
            to.put_slice(&Frame::Fin(id).encode());
            stream.fin = Fin::Sent;
            if !stream.peer_finished && !stream.dropped {
                self.unanswered.insert(id);
                if self.unanswered.len() > self.config.max_streams {
                    self.unanswered.pop_first();
                }
            }
        }
        if !stream.wants_turn() {
            self.ready.remove(&mut stream.in_ready);
            if stream.released && stream.fin == Fin::Sent {
                self.streams.remove(&id);
            }
        }
        if little {
            let next = self.ready.front().and_then(|id| self.streams.get(&id));
            self.overtook |= next.is_some_and(|next| next.sending.len() > LITTLE);
        }
        true
    }
}
