//! Receiving: from a websocket message to events and acknowledgements.

mod acknowledgements;
mod inbox;

use std::time::Instant;

use bytes::Bytes;

use super::Session;
use crate::error::SessionError;
use crate::event::SessionEvent;
use crate::payload::{Acknowledge, ChannelClosed};
use crate::wire::{DecodeError, Message, MessageType, PayloadType};
use acknowledgements::MAX_ACKNOWLEDGEMENTS;
pub(super) use acknowledgements::Taken;
pub(super) use inbox::Inbox;
use inbox::{Arrival, StreamData};

impl Session {
    /// Handles one websocket message.
    ///
    /// An unreadable message is dropped, counted and not acknowledged, so that the peer resends it.
    ///
    /// # Errors
    /// When the session cannot continue. Drain [`poll_transmit`](Self::poll_transmit) once more: a
    /// refusal for the peer may be queued.
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
                // The port failed, not the handshake.
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
            // Not acknowledged, so the peer resends it.
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

    /// Processes one stream-data message, in order.
    fn process(&mut self, message: StreamData, now: Instant) -> Result<(), SessionError> {
        self.stats.received += 1;
        let StreamData { kind, payload } = message;
        if kind == PayloadType::Output {
            // The agent's port is connected, so it keeps data.
            self.settle();
        }
        match kind {
            PayloadType::HandshakeRequest => self.handle_handshake_request(&payload, now),
            PayloadType::HandshakeResponse => self.handle_handshake_response(&payload, now),
            PayloadType::HandshakeComplete => self.handle_handshake_complete(&payload, now),
            _ if !self.has_completed_handshake() => self.handle_early_data(),
            kind => {
                let event = SessionEvent::from_payload(kind, payload);
                self.events.push_back(event);
                Ok(())
            }
        }
    }
}

/// Refuses stream data with a negative sequence number.
fn sequenced(message: Message) -> Result<Message, DecodeError> {
    let found = message.header.sequence_number.0;
    match message.header.message_type {
        MessageType::InputStreamData | MessageType::OutputStreamData if found < 0 => {
            Err(DecodeError::SequenceNumber { found })
        }
        _ => Ok(message),
    }
}
