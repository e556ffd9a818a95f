//! What the agent writes to its websocket: numbered stream data, kept until it is acknowledged, and
//! the messages around it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use serde_json::json;
use ssm_protocol::payload::Acknowledge;
use ssm_protocol::wire::{
    Flags, Header, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType, SequenceNumber,
};

/// How often the oldest message is looked at.
const RESEND_INTERVAL: Duration = Duration::from_millis(100);
const FIRST_TIMEOUT: Duration = Duration::from_millis(200);
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
const GRANULARITY: Duration = Duration::from_millis(10);
const MAX_TIMEOUT: Duration = Duration::from_secs(1);

/// The sending half of the agent's data channel.
#[derive(Debug)]
pub(super) struct Outgoing {
    started: Instant,
    /// `started`, since the Unix epoch.
    started_unix: Duration,
    random: fastrand::Rng,
    /// The websocket is broken: everything written is lost.
    broken: bool,
    /// Most messages kept.
    capacity: usize,
    next_number: i64,
    /// Stream data that is not acknowledged, the oldest first.
    kept: VecDeque<Unacknowledged>,
    /// For the websocket.
    frames: VecDeque<Bytes>,
    round_trip: Duration,
    variation: Duration,
    timeout: Duration,
    resend_at: Instant,
}

#[derive(Debug)]
struct Unacknowledged {
    number: i64,
    frame: Bytes,
    sent_at: Instant,
}

impl Outgoing {
    pub(super) fn new(capacity: usize, seed: u64, now: Instant, unix: Duration) -> Self {
        Self {
            started: now,
            started_unix: unix,
            random: fastrand::Rng::with_seed(seed),
            broken: false,
            capacity,
            next_number: 0,
            kept: VecDeque::new(),
            frames: VecDeque::new(),
            round_trip: FIRST_ROUND_TRIP,
            variation: Duration::ZERO,
            timeout: FIRST_TIMEOUT,
            resend_at: now + RESEND_INTERVAL,
        }
    }

    pub(super) fn set_broken(&mut self, broken: bool) {
        self.broken = broken;
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the client acknowledged everything.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.kept.is_empty()
    }

    /// Sends stream data.
    pub(super) fn send(&mut self, kind: PayloadType, payload: &[u8], now: Instant) {
        let number = self.next_number;
        self.next_number += 1;
        let flags = if number == 0 { Flags::SYN } else { Flags::NONE };
        let message_type = MessageType::OutputStreamData;
        let frame = self.frame(message_type, number, flags, kind, payload, now);
        self.write(frame.clone());
        // A full buffer does not stop it from sending, only from sending again.
        if self.kept.len() < self.capacity {
            self.kept.push_back(Unacknowledged {
                number,
                frame,
                sent_at: now,
            });
        }
    }

    /// Whether the acknowledgement could be written.
    pub(super) fn acknowledge(&mut self, body: &Acknowledge, now: Instant) -> bool {
        let mut payload = BytesMut::new();
        body.write(&mut payload);
        self.send_once(MessageType::Acknowledge, &payload, now);
        !self.broken
    }

    /// The agent's report to the service, which clients must ignore.
    pub(super) fn report_state(&mut self, state: &str, now: Instant) {
        let body = json!({ "SchemaVersion": 1, "SessionState": state, "SessionId": "" });
        let body = body.to_string();
        self.send_once(MessageType::AgentSessionState, body.as_bytes(), now);
    }

    /// Sends a message that has no number and is not acknowledged.
    fn send_once(&mut self, message_type: MessageType, payload: &[u8], now: Instant) {
        let flags = Flags::SYN | Flags::FIN;
        let frame = self.frame(message_type, 0, flags, PayloadType::None, payload, now);
        self.write(frame);
    }

    fn write(&mut self, frame: Bytes) {
        if !self.broken {
            self.frames.push_back(frame);
        }
    }

    fn frame(
        &mut self,
        message_type: MessageType,
        number: i64,
        flags: Flags,
        payload_type: PayloadType,
        payload: &[u8],
        now: Instant,
    ) -> Bytes {
        let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + payload.len());
        frame.resize(PAYLOAD_OFFSET, 0);
        frame.extend_from_slice(payload);
        Header {
            message_type,
            schema_version: 1,
            created_date: self
                .started_unix
                .saturating_add(now.saturating_duration_since(self.started)),
            sequence_number: SequenceNumber(number),
            flags,
            message_id: MessageId(
                uuid::Builder::from_random_bytes(self.random.u128(..).to_be_bytes()).into_uuid(),
            ),
            payload_type,
        }
        .seal(&mut frame);
        frame.freeze()
    }

    /// The client acknowledged one message; no acknowledgement covers others.
    pub(super) fn handle_acknowledge(&mut self, body: &[u8], now: Instant) {
        let Ok(acknowledge) = Acknowledge::read(body) else {
            return;
        };
        let number = acknowledge.sequence_number.0;
        let Some(at) = self.kept.iter().position(|kept| kept.number >= number) else {
            return;
        };
        if self.kept.get(at).is_none_or(|kept| kept.number != number) {
            return;
        }
        if let Some(kept) = self.kept.remove(at) {
            // Unlike the client's, its samples include messages that were sent again.
            let sample = now.saturating_duration_since(kept.sent_at);
            self.variation = self.variation * 3 / 4 + self.round_trip.abs_diff(sample) / 4;
            self.round_trip = self.round_trip * 7 / 8 + sample / 8;
            self.timeout =
                (self.round_trip + (self.variation * 4).max(GRANULARITY)).min(MAX_TIMEOUT);
        }
    }

    /// The next message for the websocket.
    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        self.frames.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.resend_at
    }

    /// Every 100 ms, unless publication is paused: the oldest message, if it is overdue. Only that one.
    pub(super) fn handle_timeout(&mut self, paused: bool, now: Instant) {
        if now < self.resend_at {
            return;
        }
        self.resend_at = now + RESEND_INTERVAL;
        let timeout = self.timeout;
        if let Some(oldest) = self.kept.front_mut().filter(|_| !paused)
            && now.saturating_duration_since(oldest.sent_at) > timeout
        {
            oldest.sent_at = now;
            let frame = oldest.frame.clone();
            self.write(frame);
        }
    }
}
