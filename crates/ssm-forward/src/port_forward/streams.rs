//! The streams: opening, reading, writing and ending them.

use std::time::Instant;

use bytes::Bytes;
use ssm_smux::StreamId;

use super::PortForward;
use super::channel::Channel;
use crate::{StreamRead, StreamWriteError};

impl PortForward {
    /// Opens a stream, which the agent connects to the destination. `None` before
    /// [`ForwardEvent::Ready`](crate::ForwardEvent::Ready), while 65536 streams are open, or in basic
    /// mode while another connection is open or its bytes may still arrive; then ask again after the
    /// next call.
    pub fn open(&mut self) -> Option<StreamId> {
        self.channel.open()
    }

    /// Whether a basic session has carried a connection and carries none now. It can be used for the
    /// next one.
    pub fn is_spent(&self) -> bool {
        matches!(&self.channel, Channel::Basic(basic) if basic.was_used() && !basic.is_busy())
    }

    /// Whether the destination has sent anything: more messages arrived than the two of the handshake.
    pub fn was_answered(&self) -> bool {
        self.session.stats().received > 2
    }

    /// Whether everything written has been sent and acknowledged, and the agent has written it out to
    /// the destinations of ended streams.
    pub fn is_drained(&self) -> bool {
        !self.channel.wants_transmit()
            && !self.channel.is_unanswered()
            && self.session.is_delivered()
    }

    /// The next bytes of a stream, or how it ended. Call this until it does not return
    /// [`StreamRead::Data`], as far as the reader keeps up.
    pub fn read(&mut self, id: StreamId) -> StreamRead {
        match self.channel.read(id) {
            StreamRead::Finished if self.refusals.contains(id) => StreamRead::Refused,
            other => other,
        }
    }

    /// How many bytes [`write`](Self::write) takes now; after a 0,
    /// [`ForwardEvent::Writable`](crate::ForwardEvent::Writable) follows. `None` once the stream takes
    /// no more.
    pub fn writable(&mut self, id: StreamId) -> Option<usize> {
        self.channel.writable(id)
    }

    /// Whether the destination may have received some of what was written twice; the stream then reads
    /// [`StreamRead::Doubled`].
    pub fn is_doubled(&self, id: StreamId) -> bool {
        matches!(&self.channel, Channel::Basic(basic) if basic.is_doubled(id))
    }

    /// Queues bytes of a stream: all of them, or none.
    ///
    /// # Errors
    ///
    /// More than [`writable`](Self::writable) allows, or the stream is closed.
    pub fn write(&mut self, id: StreamId, data: Bytes) -> Result<(), StreamWriteError> {
        self.channel.write(id, data)
    }

    /// Local end-of-file: nothing more is written. The stream can be read until the destination ends
    /// it or nothing has arrived for [`ForwardConfig::half_close_quiet`](crate::ForwardConfig).
    pub fn finish(&mut self, id: StreamId, now: Instant) {
        self.channel.finish(id, now);
    }

    /// How many connections wait for the one that a basic session carries. If any do, a half-closed
    /// connection that has been quiet for a second is reset to make room.
    pub fn set_waiting(&mut self, waiting: usize) {
        self.channel.set_waiting(waiting);
    }

    /// Sends what is queued, then ends the stream in both directions.
    pub fn close(&mut self, id: StreamId) {
        self.refusals.forget(id);
        self.channel.close(id);
    }

    /// Ends the stream in both directions at once.
    pub fn reset(&mut self, id: StreamId) {
        self.refusals.forget(id);
        self.channel.reset(id);
    }
}
