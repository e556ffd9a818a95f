//! One `Session` whose peer does anything: messages out of turn, twice, damaged or of any kind,
//! acknowledgements of anything, cuts and pauses.
//!
//! Promises held after every step:
//! - what is delivered is what the peer sent, in order, once, and nothing before the handshake;
//! - only what was taken is acknowledged, and what was acknowledged is delivered in the end;
//! - own messages are numbered without a gap, keep their number and bytes when sent again, and wait
//!   for the handshake, the websocket and publication (but for one probe a second);
//! - what is kept stays below its limits; every timer is in the future once it was handled.

mod plan;
mod promises;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};
use plan::{Plan, Step, properties, stream};
use ssm_protocol::payload::{Acknowledge, Flag, HandshakeRequest};
use ssm_protocol::wire::{
    Flags, Header, MessageId, MessageType, PAYLOAD_OFFSET, PayloadType, SequenceNumber,
};
use ssm_protocol::{Session, SessionConfig, SessionError};

/// Most messages of the peer's stream.
const STREAM: usize = 24;
/// Most steps of one run.
const STEPS: usize = 120;
/// While publication is paused, at most one message is sent in this time.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
const UNIX_TIME: Duration = Duration::from_secs(1_790_000_000);

/// Nothing recorded has this form: a few runs of equal bytes, which the search takes apart.
pub fn seeds() -> Vec<Vec<u8>> {
    (0..=255_u8)
        .step_by(15)
        .map(|byte| {
            let mixed = (0..600_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 ^ byte);
            mixed.collect()
        })
        .collect()
}

/// Runs the steps that `data` describes.
pub fn run(data: &[u8]) {
    let mut unstructured = Unstructured::new(data);
    let Ok(plan) = Plan::arbitrary(&mut unstructured) else {
        return;
    };
    let mut world = World::new(&plan);
    for _ in 0..STEPS {
        if unstructured.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut unstructured) else {
            break;
        };
        if world.step(step).is_err() {
            world.after_the_end();
            return;
        }
    }
    world.finish();
}

struct World {
    session: Session,
    config: SessionConfig,
    agent: bool,
    stream: Vec<(PayloadType, Bytes)>,
    now: Instant,
    connected: bool,
    paused: bool,
    /// When the next message may be sent during a pause.
    probe_from: Instant,
    closed: bool,
    /// Numbers of the peer that were handed in at all.
    handed: BTreeSet<i64>,
    acknowledged: BTreeSet<i64>,
    ready: bool,
    /// The next of the peer's numbers to be delivered.
    delivered: usize,
    /// Own messages, by number, as first transmitted.
    own: Vec<Bytes>,
    /// Payload bytes of flags and handshake, which the window does not hold back.
    beyond_window: usize,
    next: usize,
}

impl World {
    fn new(plan: &Plan) -> Self {
        let now = super::start::start();
        let mut config = SessionConfig::default();
        config.max_payload = usize::from(plan.max_payload).max(1);
        config.min_window = usize::from(plan.min_window % 4096);
        config.max_window = usize::from(plan.max_window);
        config.reorder_bytes = usize::from(plan.reorder_bytes % 8192);
        config.max_bad_messages = u32::from(plan.max_bad_messages).max(1);
        let session = if plan.agent {
            let request = HandshakeRequest::port("3.3.1142.0", &properties());
            Session::agent(config.clone(), request, [7; 32], now, UNIX_TIME)
        } else {
            Session::client(config.clone(), [7; 32], now, UNIX_TIME)
        };
        Self {
            session,
            config,
            agent: plan.agent,
            stream: stream(plan),
            now,
            connected: false,
            paused: false,
            probe_from: now,
            closed: false,
            handed: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            ready: false,
            delivered: 0,
            own: Vec::new(),
            beyond_window: 4096,
            next: 0,
        }
    }

    fn peer_sends(&self) -> MessageType {
        if self.agent {
            MessageType::InputStreamData
        } else {
            MessageType::OutputStreamData
        }
    }

    fn own_sends(&self) -> MessageType {
        if self.agent {
            MessageType::OutputStreamData
        } else {
            MessageType::InputStreamData
        }
    }

    fn step(&mut self, step: Step) -> Result<(), SessionError> {
        let outcome = self.act(step);
        self.take_events();
        self.check();
        outcome
    }

    fn act(&mut self, step: Step) -> Result<(), SessionError> {
        match step {
            Step::Connect => {
                self.session.connected(self.now);
                self.connected = true;
            }
            Step::Disconnect => {
                self.session.disconnected();
                self.connected = false;
            }
            Step::Publication { pause } => {
                let kind = if pause {
                    MessageType::PausePublication
                } else {
                    MessageType::StartPublication
                };
                return self.hand(kind, 0, PayloadType::None, b"{}");
            }
            Step::Stream { number } => return self.hand_stream(usize::from(number)),
            Step::Next => {
                self.next += 1;
                return self.hand_stream(self.next - 1);
            }
            Step::Far { number, length } => {
                let far = number.saturating_abs().saturating_add(STREAM as i64 + 1);
                let number = if number < 0 { number } else { far };
                let junk = vec![0xaa; usize::from(length % 2048)];
                self.handed.insert(number);
                return self.hand(self.peer_sends(), number, PayloadType::Output, &junk);
            }
            Step::Damaged {
                number,
                at,
                bit,
                cut,
            } => {
                let number = usize::from(number) % STREAM;
                let Some((kind, payload)) = self.stream.get(number).cloned() else {
                    return Ok(());
                };
                if payload.is_empty() {
                    return Ok(());
                }
                let mut frame = self.frame(self.peer_sends(), number as i64, kind, &payload);
                // What the digest covers, and the length that says how much that is.
                let at = PAYLOAD_OFFSET - 4 + usize::from(at) % (payload.len() + 4);
                if cut {
                    frame.truncate(at);
                } else if let Some(byte) = frame.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
                return self.session.handle_message(frame.freeze(), self.now);
            }
            Step::Acknowledgement {
                number,
                of_own,
                far,
            } => {
                let message_type = if of_own {
                    self.own_sends()
                } else {
                    self.peer_sends()
                };
                let number = if far {
                    i64::MAX - i64::from(number).abs()
                } else {
                    i64::from(number)
                };
                return self.hand_acknowledgement(message_type, number);
            }
            Step::AcknowledgeAll => {
                for number in 0..self.own.len() {
                    self.hand_acknowledgement(self.own_sends(), number as i64)?;
                }
            }
            Step::Other { kind, length } => {
                let kind = match kind % 8 {
                    0 => {
                        self.closed = true;
                        MessageType::ChannelClosed
                    }
                    1 => MessageType::AgentSessionState,
                    2 => MessageType::Acknowledge,
                    3 => self.own_sends(),
                    _ => MessageType::Other("unheard_of".to_owned()),
                };
                let body = vec![b'{'; usize::from(length)];
                return self.hand(kind, 3, PayloadType::Other(77), &body);
            }
            Step::Raw(bytes) => {
                return self
                    .session
                    .handle_message(Bytes::copy_from_slice(&bytes), self.now);
            }
            Step::Send { length } => self.send(usize::from(length % 512)),
            Step::Flag(value) => {
                let flag = Flag::read(&value.to_be_bytes()).expect("four bytes");
                self.beyond_window += 4;
                self.session.send_flag(flag, self.now);
            }
            Step::Wait { ms } => {
                self.now += Duration::from_millis(u64::from(ms));
                return self.time_passed();
            }
            Step::WaitForTimer => {
                if let Some((at, _)) = self.session.poll_timeout() {
                    self.now = self.now.max(at);
                    return self.time_passed();
                }
            }
            Step::Transmit { count } => self.transmit(usize::from(count)),
            Step::TransmitAll => self.transmit(usize::MAX),
        }
        Ok(())
    }

    fn time_passed(&mut self) -> Result<(), SessionError> {
        self.session.handle_timeout(self.now)?;
        let next = self.session.poll_timeout();
        assert!(
            next.is_none_or(|(at, _)| at > self.now),
            "{next:?} stays due"
        );
        Ok(())
    }

    fn frame(&self, kind: MessageType, number: i64, payload: PayloadType, body: &[u8]) -> BytesMut {
        let mut frame = BytesMut::zeroed(PAYLOAD_OFFSET);
        frame.extend_from_slice(body);
        let header = Header {
            message_type: kind,
            schema_version: 1,
            created_date: UNIX_TIME,
            sequence_number: SequenceNumber(number),
            flags: Flags::NONE,
            message_id: MessageId::default(),
            payload_type: payload,
        };
        header.seal(&mut frame);
        frame
    }

    fn hand(
        &mut self,
        kind: MessageType,
        number: i64,
        payload: PayloadType,
        body: &[u8],
    ) -> Result<(), SessionError> {
        let frame = self.frame(kind, number, payload, body).freeze();
        self.session.handle_message(frame, self.now)
    }

    fn hand_stream(&mut self, number: usize) -> Result<(), SessionError> {
        let number = number % STREAM;
        let Some((kind, payload)) = self.stream.get(number).cloned() else {
            return Ok(());
        };
        self.handed.insert(number as i64);
        self.hand(self.peer_sends(), number as i64, kind, &payload)
    }

    fn hand_acknowledgement(&mut self, of: MessageType, number: i64) -> Result<(), SessionError> {
        let mut body = BytesMut::new();
        let acknowledge = Acknowledge {
            message_type: of,
            message_id: MessageId::default(),
            sequence_number: SequenceNumber(number),
        };
        acknowledge.write(&mut body);
        self.hand(MessageType::Acknowledge, 0, PayloadType::None, &body)
    }

    fn send(&mut self, length: usize) {
        let room = self.session.send_room();
        if !self.ready || !self.connected || self.paused || self.closed {
            assert_eq!(room, 0);
        }
        let sent = self.session.send(&vec![0x55; length], self.now);
        assert_eq!(sent.is_ok(), length <= room);
    }
}
