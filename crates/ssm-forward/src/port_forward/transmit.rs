//! What goes out: the session's own messages first, then those that carry the streams.

use std::time::Instant;

use bytes::Bytes;

use super::PortForward;
use super::channel::Channel;

impl PortForward {
    /// The next message for the websocket, in binary. Call this until it returns `None`, after every
    /// call that takes `&mut self`; what the websocket has no room for may wait.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        loop {
            if let Some(message) = self.session.poll_transmit(now) {
                return Some(message);
            }
            if self.session.send_room() == 0 {
                if self.keep_alive(now) {
                    continue;
                }
                if !self.is_busy() {
                    return None;
                }
            }
            match &mut self.channel {
                Channel::Pending => return None,
                Channel::Mux(mux) => {
                    if !mux.wants_transmit() {
                        return None;
                    }
                    let sent = self.session.send_with(now, |frame, max| {
                        mux.poll_transmit(frame, max);
                    });
                    if mux.take_overtook() {
                        self.session.favour_latency(now);
                    }
                    self.drain_mux();
                    if sent == 0 {
                        return None;
                    }
                }
                Channel::Basic(basic) => {
                    let before = self.session.stats().unacknowledged;
                    self.events
                        .extend(basic.poll_transmit(&mut self.session, now));
                    if self.session.stats().unacknowledged == before {
                        return None;
                    }
                }
            }
        }
    }

    /// Sends a keep-alive that is due although the window is full, because its acknowledgements wait
    /// behind slow local readers, for example. An agent that requires keep-alives would hang up.
    fn keep_alive(&mut self, now: Instant) -> bool {
        let Channel::Mux(mux) = &mut self.channel else {
            return false;
        };
        if !mux.keepalive_due() {
            return false;
        }
        let sent = self.session.send_small(now, |frame, max| {
            mux.poll_keepalive(frame, max);
        });
        sent > 0
    }

    /// Whether a basic session carries, or still disconnects, a connection.
    fn is_busy(&self) -> bool {
        matches!(&self.channel, Channel::Basic(basic) if basic.is_busy())
    }
}
