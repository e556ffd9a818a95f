//! What arrives.

mod acknowledgements;
mod inbox;

use std::time::Instant;

use bytes::Bytes;

use super::{Session, Side};
use crate::error::SessionError;
use crate::event::SessionEvent;
use crate::payload::{Acknowledge, ChannelClosed, Flag};
use crate::wire::{DecodeError, Message, MessageType, PayloadType};
use acknowledgements::MAX_ACKNOWLEDGEMENTS;
pub(super) use acknowledgements::Taken;
pub(super) use inbox::Inbox;
use inbox::{Arrival, StreamData};

impl Session {
    /// Takes one websocket message.
    ///
    /// A message that cannot be read is dropped, counted and not acknowledged, so that the peer
    /// sends it again.
    ///
    /// # Errors
    /// When the session cannot go on. Drain [`poll_transmit`](Self::poll_transmit) once more: the
    /// refusal the peer is owed may wait there.
    pub fn handle_message(&mut self, frame: Bytes, now: Instant) -> Result<(), SessionError> {
        if self.closed {
            return Ok(());
        }
        let message = match Message::decode(frame).and_then(sequenced) {
            Ok(message) => message,
            Err(error) => return self.drop_bad(error),
        };
        self.bad_in_a_row = 0;
        match &message.header.message_type {
            MessageType::StartPublication => self.heard(now),
            MessageType::PausePublication => self.set_paused(true, now),
            MessageType::Acknowledge => {
                self.heard(now);
                self.handle_acknowledge(&message.payload, now);
            }
            MessageType::ChannelClosed => {
                // The handshake did not fail: the port did.
                self.settle();
                self.closed = true;
                let body = ChannelClosed::read(&message.payload).unwrap_or_default();
                self.events.push_back(SessionEvent::ChannelClosed {
                    output: body.output,
                });
            }
            kind if *kind == self.side.receives() => {
                self.heard(now);
                return self.handle_stream_data(message, now);
            }
            other => tracing::debug!(message_type = %other, "ignored message"),
        }
        Ok(())
    }

    fn drop_bad(&mut self, error: DecodeError) -> Result<(), SessionError> {
        tracing::warn!(%error, "dropped unreadable message");
        self.stats.bad += 1;
        self.bad_in_a_row += 1;
        if self.bad_in_a_row >= self.config.max_bad_messages {
            return Err(SessionError::BadMessages {
                count: self.bad_in_a_row,
                last: error,
            });
        }
        Ok(())
    }

    fn handle_acknowledge(&mut self, payload: &[u8], now: Instant) {
        match Acknowledge::read(payload) {
            Ok(body) if body.message_type == self.side.sends() => {
                if let Ok(number) = u64::try_from(body.sequence_number.0) {
                    let taken = self
                        .outbox
                        .on_ack_during_inquiry(number, body.message_id, now);
                    let acknowledged = self.outbox.acknowledge(number, now);
                    self.stats.acknowledged += taken + u64::from(acknowledged);
                }
            }
            Ok(body) => tracing::debug!(of = %body.message_type, "ignored acknowledgement"),
            Err(error) => tracing::debug!(%error, "ignored unreadable acknowledgement"),
        }
    }

    fn handle_stream_data(&mut self, message: Message, now: Instant) -> Result<(), SessionError> {
        if self.acknowledgements.len() >= MAX_ACKNOWLEDGEMENTS {
            // Not acknowledged, so it comes again.
            tracing::debug!("dropped a message: too many acknowledgements wait");
            return Ok(());
        }
        let acknowledge = Taken {
            id: message.header.message_id,
            number: message.header.sequence_number,
        };
        let number = u64::try_from(message.header.sequence_number.0).unwrap_or_default();
        match self.inbox.receive(number, StreamData::from(message)) {
            Arrival::InOrder(message) => {
                self.acknowledge(acknowledge);
                let mut next = Some(message);
                while let Some(message) = next {
                    self.process(message, now)?;
                    next = self.inbox.next_ready();
                }
            }
            Arrival::Ahead => self.acknowledge(acknowledge),
            Arrival::Duplicate => {
                self.stats.duplicates += 1;
                self.acknowledge(acknowledge);
            }
            Arrival::Refused => tracing::debug!(number, "no room ahead of a missing message"),
        }
        Ok(())
    }

    /// One stream-data message, in order.
    fn process(&mut self, message: StreamData, now: Instant) -> Result<(), SessionError> {
        self.stats.received += 1;
        let StreamData { kind, payload } = message;
        if kind == PayloadType::Output {
            // Its port is connected, so it keeps data.
            self.settle();
        }
        match kind {
            PayloadType::HandshakeRequest => self.handle_handshake_request(&payload, now),
            PayloadType::HandshakeResponse => self.handle_handshake_response(&payload, now),
            PayloadType::HandshakeComplete => self.handle_handshake_complete(&payload, now),
            _ if !self.has_completed_handshake() => match self.side {
                Side::Client => Err(SessionError::DataBeforeHandshake),
                // Acknowledged, then thrown away: `aws/amazon-ssm-agent`
                // `agent/session/datachannel/datachannel.go` @01dfe74e.
                Side::Agent => {
                    tracing::debug!("ignored data before the handshake was complete");
                    Ok(())
                }
            },
            kind => {
                let flag = (kind == PayloadType::Flag)
                    .then(|| Flag::read(&payload))
                    .flatten();
                self.events.push_back(match (kind, flag) {
                    (PayloadType::Output, _) => SessionEvent::Data(payload),
                    (_, Some(flag)) => SessionEvent::Flag(flag),
                    (kind, None) => SessionEvent::Other(kind, payload),
                });
                Ok(())
            }
        }
    }
}

/// Refuses stream data with a number that cannot be one.
fn sequenced(message: Message) -> Result<Message, DecodeError> {
    let found = message.header.sequence_number.0;
    match message.header.message_type {
        MessageType::InputStreamData | MessageType::OutputStreamData if found < 0 => {
            Err(DecodeError::SequenceNumber { found })
        }
        _ => Ok(message),
    }
}
