//! The peer's bytes: new streams, data, ends.

use std::time::Instant;

use bytes::Bytes;

use super::Mux;
use super::stream::Stream;
use crate::error::SmuxError;
use crate::stream_id::StreamId;
use crate::wire::{Frame, Piece};

impl Mux {
    /// Handles the next bytes of the peer, split anywhere.
    ///
    /// Streams keep slices of `data` where that is cheap. A slice smaller than about half of `data` is
    /// copied instead, so that unread bytes occupy at most about twice their number in memory. A caller
    /// whose `data` is a small part of a larger buffer must copy it first.
    ///
    /// # Errors
    /// When the bytes are not smux version 1, or open too many streams. The session is dead then; data
    /// received before can still be read.
    pub fn handle(&mut self, data: Bytes, now: Instant) -> Result<(), SmuxError> {
        if self.dead {
            return Err(SmuxError::Dead);
        }
        if data.is_empty() {
            return Ok(());
        }
        let whole = data.len();
        let outcome = self.handle_pieces(data, whole, now);
        self.dead = outcome.is_err();
        let paused = self.receive_paused();
        self.liveness.heard(now, paused);
        outcome
    }

    fn handle_pieces(
        &mut self,
        mut input: Bytes,
        whole: usize,
        now: Instant,
    ) -> Result<(), SmuxError> {
        while let Some(piece) = self.decoder.next(&mut input)? {
            match piece {
                Piece::Frame(Frame::Syn(id)) => self.handle_syn(id)?,
                Piece::Frame(Frame::Fin(id)) => self.handle_fin(id),
                Piece::Frame(Frame::Psh { .. } | Frame::Nop) => {}
                Piece::Data(id, data) => self.handle_data(id, data, whole, now),
            }
        }
        Ok(())
    }

    fn handle_syn(&mut self, id: StreamId) -> Result<(), SmuxError> {
        if !self.role.accepts(id) || self.streams.contains_key(&id) {
            tracing::debug!(stream = %id, "ignored the SYN of an id that the peer cannot open");
            return Ok(());
        }
        let limit = self.config.max_streams;
        if self.streams.len() < limit {
            let mut stream = Stream::default();
            stream.pending_events.opened = true;
            self.events.push(id, &mut stream.in_events);
            self.incoming.push(id, &mut stream.in_incoming);
            self.streams.insert(id, stream);
            return Ok(());
        }
        // Without a FIN the peer would wait for ever for an answer on this stream.
        tracing::debug!(stream = %id, limit, "refused a stream");
        if self.refused.len() >= limit {
            return Err(SmuxError::TooManyStreams { limit });
        }
        self.refused.push_back(id);
        Ok(())
    }

    fn handle_fin(&mut self, id: StreamId) {
        self.unanswered.remove(&id);
        if self.heard_of(id) {
            self.unserved.push_back(id);
            if self.unserved.len() > self.config.max_streams {
                self.unserved.pop_front();
            }
        }
        let Some(stream) = self
            .streams
            .get_mut(&id)
            .filter(|stream| !stream.peer_finished)
        else {
            tracing::trace!(stream = %id, "ignored the FIN of an unknown stream");
            return;
        };
        stream.peer_finished = true;
        // The peer has forgotten the stream: data would go nowhere.
        stream.sending.clear();
        self.half_close_timers.disarm(id, stream);
        if stream.local_finished {
            stream.end();
        }
        if !stream.released {
            stream.pending_events.finished = true;
            self.events.push(id, &mut stream.in_events);
        }
        if stream.wants_turn() {
            self.ready.push(id, &mut stream.in_ready);
        } else {
            self.ready.remove(&mut stream.in_ready);
        }
    }

    /// The peer sent a frame of this stream. Returns whether it is the first frame of this stream and of
    /// all streams opened here after it.
    fn heard_of(&mut self, id: StreamId) -> bool {
        let opened = !self.role.accepts(id)
            && id.number() >= self.role.first_id()
            && self.next_id.is_none_or(|next| id.number() < next);
        let first = opened && self.latest_heard.is_none_or(|latest| latest < id);
        if first {
            self.latest_heard = Some(id);
        }
        first
    }

    fn handle_data(&mut self, id: StreamId, data: Bytes, whole: usize, now: Instant) {
        self.heard_of(id);
        let Some(stream) = self
            .streams
            .get_mut(&id)
            .filter(|stream| !stream.peer_finished && !stream.released)
        else {
            tracing::trace!(stream = %id, length = data.len(), "discarded data");
            return;
        };
        if stream.quiet_until.is_some() {
            self.half_close_timers.arm(id, stream, now);
        }
        self.received += data.len();
        stream.received.push(data, whole);
        if !stream.readable_told {
            stream.readable_told = true;
            stream.pending_events.readable = true;
            self.events.push(id, &mut stream.in_events);
        }
    }
}
