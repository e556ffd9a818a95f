//! What must hold.

use ssm_protocol::SessionEvent;
use ssm_protocol::payload::Acknowledge;
use ssm_protocol::wire::{Message, MessageType, PayloadType};

use super::plan::is_handshake;
use super::{PROBE_INTERVAL, STREAM, World};

impl World {
    pub(super) fn transmit(&mut self, most: usize) {
        for count in 0..most {
            let Some(frame) = self.session.poll_transmit(self.now) else {
                return;
            };
            assert!(count < 100_000, "it transmits without end");
            assert!(self.connected);
            let message = Message::decode(frame.clone()).expect("we write sound messages");
            match message.header.message_type {
                MessageType::Acknowledge => {
                    let body = Acknowledge::read(&message.payload).expect("sound");
                    let number = body.sequence_number.0;
                    assert_eq!(body.message_type, self.peer_sends());
                    assert!(
                        self.handed.contains(&number),
                        "{number} was never handed in"
                    );
                    self.acknowledged.insert(number);
                }
                kind => {
                    assert_eq!(kind, self.own_sends());
                    assert!(!self.closed);
                    if self.paused {
                        assert!(self.now >= self.probe_from, "more than a probe a second");
                        self.probe_from = self.now + PROBE_INTERVAL;
                    }
                    let number = usize::try_from(message.header.sequence_number.0);
                    let number = number.expect("no negative number");
                    assert!(number <= self.own.len(), "a number was left out");
                    if number == self.own.len() {
                        self.own.push(frame);
                    } else {
                        assert_eq!(self.own.get(number), Some(&frame));
                    }
                    if message.header.payload_type == PayloadType::Output {
                        assert!(self.ready, "data before the handshake");
                    }
                }
            }
        }
    }

    pub(super) fn take_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Paused => {
                    self.paused = true;
                    self.probe_from = self.now + PROBE_INTERVAL;
                }
                SessionEvent::Started => self.paused = false,
                SessionEvent::ChannelClosed { .. } => self.closed = true,
                SessionEvent::Ready(_) => {
                    assert!(!self.ready, "ready twice");
                    self.ready = true;
                }
                SessionEvent::Data(data) => self.delivered_next(&PayloadType::Output, &data),
                SessionEvent::Flag(flag) => {
                    self.delivered_next(&PayloadType::Flag, &flag.to_bytes())
                }
                SessionEvent::Other(kind, data) => self.delivered_next(&kind, &data),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next of the peer's messages that is not the handshake's is this one.
    fn delivered_next(&mut self, kind: &PayloadType, data: &[u8]) {
        assert!(
            self.ready || *kind != PayloadType::Output,
            "data before the session is ready"
        );
        loop {
            let number = self.delivered;
            let (sent, payload) = self.stream.get(number).expect("it was sent");
            self.delivered += 1;
            assert!(self.handed.contains(&(number as i64)));
            if is_handshake(*sent) || self.thrown_away(number) {
                continue;
            }
            assert_eq!((kind, data), (sent, &payload[..]), "message {number}");
            assert!(
                self.ready || self.completed_before(number),
                "delivered before the handshake"
            );
            return;
        }
    }

    /// Whether the agent completed the handshake with an earlier message. Flags may follow it at once,
    /// a moment before the client takes the session for ready.
    fn completed_before(&self, number: usize) -> bool {
        let earlier = self.stream.iter().take(number);
        !self.agent
            && earlier
                .into_iter()
                .any(|(kind, _)| *kind == PayloadType::HandshakeComplete)
    }

    /// Data before the handshake: the agent's side throws it away.
    fn thrown_away(&self, number: usize) -> bool {
        let handshake = self.stream.iter().position(|(kind, payload)| {
            *kind == PayloadType::HandshakeResponse && payload.len() > 2
        });
        self.agent && handshake.is_none_or(|at| number < at)
    }

    pub(super) fn check(&self) {
        let stats = self.session.stats();
        assert!(stats.reordering <= self.config.reorder_bytes);
        // Never below two messages.
        let window = self.config.max_window.max(2 * self.config.max_payload);
        let most = window + self.beyond_window;
        assert!(stats.unacknowledged <= most, "{stats:?}");
        assert_eq!(self.session.is_ready(), self.ready);
    }

    /// The peer sends everything that is missing: what was acknowledged must be delivered.
    pub(super) fn finish(&mut self) {
        if self.closed {
            return;
        }
        for number in 0..STREAM {
            if self.hand_stream(number).is_err() {
                return;
            }
            self.take_events();
        }
        self.check();
        if !self.ready || self.closed {
            return;
        }
        while let Some((kind, _)) = self.stream.get(self.delivered) {
            assert!(
                is_handshake(*kind) || self.thrown_away(self.delivered),
                "not delivered"
            );
            self.delivered += 1;
        }
        if !self.connected {
            self.session.connected(self.now);
            self.connected = true;
            self.take_events();
        }
        // Everything is acknowledged again, whatever was cut before.
        for number in 0..STREAM {
            if self.hand_stream(number).is_err() {
                return;
            }
        }
        self.acknowledged.clear();
        self.take_events();
        self.transmit(usize::MAX);
        assert!((0..STREAM as i64).all(|number| self.acknowledged.contains(&number)));
        // And nothing is left once the peer acknowledged ours. A resumption starts with a few messages
        // and sends more for each acknowledgement.
        let mut number = 0;
        while number < self.own.len() {
            if self
                .hand_acknowledgement(self.own_sends(), number as i64)
                .is_err()
            {
                return;
            }
            self.transmit(usize::MAX);
            number += 1;
        }
        assert_eq!(self.session.stats().unacknowledged, 0);
        assert_eq!(self.session.poll_transmit(self.now), None);
        assert_eq!(self.session.poll_timeout(), None);
    }

    /// A session that failed may still be asked anything.
    pub(super) fn after_the_end(&mut self) {
        self.transmit(usize::MAX);
        let _ = self.session.poll_timeout();
        let _ = self.session.stats();
        self.session.disconnected();
        assert_eq!(self.session.poll_transmit(self.now), None);
    }
}
