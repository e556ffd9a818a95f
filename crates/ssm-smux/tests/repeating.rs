//! Messages that the peer processes any number of times, against a reader of smux that shares
//! nothing with this crate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proptest::prelude::*;
use ssm_smux::{Keepalive, MIN_REPEATABLE, Mux, MuxConfig, Role, StreamId};

/// What the peer makes of the bytes, as `xtaci/smux` does: data of a stream that is not open is read
/// and thrown away.
#[derive(Debug, Default)]
struct Reader {
    input: Vec<u8>,
    open: BTreeMap<u32, Vec<u8>>,
    ended: Vec<(u32, Vec<u8>)>,
    nops: usize,
}

impl Reader {
    fn read(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while self.input.len() >= 8 {
            let header: [u8; 8] = self.input[..8].try_into().expect("8 bytes");
            let [version, command, l0, l1, s0, s1, s2, s3] = header;
            assert_eq!(version, 1, "no frame begins like this: {header:?}");
            let id = u32::from_le_bytes([s0, s1, s2, s3]);
            let length = usize::from(u16::from_le_bytes([l0, l1]));
            if command == 2 && self.input.len() < 8 + length {
                return;
            }
            self.input.drain(..8);
            match command {
                0 => {
                    assert_ne!(id, 0, "the stream of thrown away data is opened");
                    assert!(self.open.insert(id, Vec::new()).is_none(), "SYN {id} again");
                }
                1 => self
                    .ended
                    .extend(self.open.remove(&id).map(|data| (id, data))),
                2 => {
                    let data: Vec<u8> = self.input.drain(..length).collect();
                    if let Some(stream) = self.open.get_mut(&id) {
                        stream.extend(data);
                    }
                }
                3 => self.nops += 1,
                _ => panic!("no command of smux: {header:?}"),
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Open,
    Write { stream: usize, length: usize },
    Close { stream: usize },
    Reset { stream: usize },
    Nop,
    NopAlone,
    Message { max: usize, repeats: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Open),
        6 => (0..6_usize, 1..3000_usize).prop_map(|(stream, length)| Step::Write { stream, length }),
        1 => (0..6_usize).prop_map(|stream| Step::Close { stream }),
        1 => (0..6_usize).prop_map(|stream| Step::Reset { stream }),
        1 => Just(Step::Nop),
        1 => Just(Step::NopAlone),
        8 => (prop_oneof![Just(MIN_REPEATABLE), MIN_REPEATABLE..100_usize, 100..2000_usize, Just(200_000)], 0..4_usize)
            .prop_map(|(max, repeats)| Step::Message { max, repeats }),
    ]
}

/// A client whose peer processes each message `1 + repeats` times, and what was written.
struct Client {
    mux: Mux,
    now: Instant,
    opened: Vec<StreamId>,
    written: BTreeMap<u32, Vec<u8>>,
    reset: BTreeSet<u32>,
    nops: usize,
    next_byte: u8,
}

const INTERVAL: Duration = Duration::from_secs(10);

impl Client {
    fn new(repeatable: bool) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as the start"
        )]
        let now = Instant::now();
        let mut config = MuxConfig::default();
        config.repeatable = repeatable;
        config.stream_send_buffer = 1 << 20;
        config.keepalive = Some(Keepalive {
            interval: INTERVAL,
            timeout: Duration::MAX,
        });
        Self {
            mux: Mux::new(Role::Client, config, now),
            now,
            opened: Vec::new(),
            written: BTreeMap::new(),
            reset: BTreeSet::new(),
            nops: 0,
            next_byte: 0,
        }
    }

    fn run(&mut self, step: &Step, peer: &mut Reader) -> Result<(), TestCaseError> {
        match *step {
            Step::Open => self.opened.push(self.mux.open().expect("room")),
            Step::Write { stream, length } => {
                let Some(id) = self.opened.get(stream) else {
                    return Ok(());
                };
                let data: Vec<u8> = (0..length)
                    .map(|_| {
                        self.next_byte = self.next_byte.wrapping_add(1);
                        self.next_byte
                    })
                    .collect();
                if self.mux.write(*id, data.clone().into()).is_ok() {
                    self.written.entry(id.number()).or_default().extend(data);
                }
            }
            Step::Close { stream } => {
                if let Some(id) = self.opened.get(stream) {
                    self.mux.close(*id);
                }
            }
            Step::Reset { stream } => {
                if let Some(id) = self.opened.get(stream) {
                    self.mux.reset(*id);
                    self.reset.insert(id.number());
                }
            }
            Step::Nop => self.nop(),
            Step::NopAlone => {
                self.nop();
                let mut message = BytesMut::new();
                let appended = self.mux.poll_keepalive(&mut message, 64);
                prop_assert!((8..=64).contains(&appended), "{appended} bytes");
                prop_assert!(!self.mux.keepalive_due());
                peer.read(&message);
                peer.read(&message);
            }
            Step::Message { max, repeats } => {
                self.message(max, repeats, peer)?;
            }
        }
        Ok(())
    }

    fn nop(&mut self) {
        self.nops += usize::from(!self.mux.keepalive_due());
        self.now += INTERVAL;
        self.mux.handle_timeout(self.now).expect("never dead");
    }

    /// Whether there was one.
    fn message(
        &mut self,
        max: usize,
        repeats: usize,
        peer: &mut Reader,
    ) -> Result<bool, TestCaseError> {
        let wanted = self.mux.wants_transmit();
        let mut message = BytesMut::new();
        let appended = self.mux.poll_transmit(&mut message, max);
        prop_assert_eq!(appended, message.len());
        prop_assert!(appended <= max, "{} of {}", appended, max);
        prop_assert_eq!(appended > 0, wanted);
        for _ in 0..=repeats {
            peer.read(&message);
        }
        Ok(wanted)
    }
}

proptest! {
    #[test]
    fn a_message_processed_again_changes_nothing(
        steps in prop::collection::vec(step(), 1..80),
        last in MIN_REPEATABLE..2000_usize,
    ) {
        let mut client = Client::new(true);
        let mut peer = Reader::default();
        for step in &steps {
            client.run(step, &mut peer)?;
        }
        while client.message(last, 1, &mut peer)? {}
        prop_assert_eq!(peer.nops, client.nops);
        for (id, data) in &peer.open {
            let written = client.written.remove(id).unwrap_or_default();
            prop_assert_eq!(&written, data, "stream {}", id);
        }
        for (id, data) in &peer.ended {
            let written = client.written.remove(id).unwrap_or_default();
            let end = if client.reset.contains(id) { data.len() } else { written.len() };
            prop_assert_eq!(written.get(..end), Some(&data[..]), "stream {}", id);
        }
        let missing = client.written.keys().find(|id| !client.reset.contains(id));
        prop_assert_eq!(missing, None, "a stream never arrived");
    }
}

/// What every message of a plain stream risks: the test above is not blind.
#[test]
fn a_plain_message_processed_again_doubles_its_bytes() {
    let mut client = Client::new(false);
    let mut peer = Reader::default();
    let id = client.mux.open().expect("room");
    let mut syn = BytesMut::new();
    client.mux.poll_transmit(&mut syn, 1024);
    peer.read(&syn);
    client
        .mux
        .write(id, b"once"[..].into())
        .expect("there is room");
    let mut message = BytesMut::new();
    client.mux.poll_transmit(&mut message, 1024);
    peer.read(&message);
    peer.read(&message);
    assert_eq!(peer.open[&id.number()], b"onceonce");
}

#[test]
fn messages_have_8_and_24_bytes_around_their_frames_in_turn() {
    let mut client = Client::new(true);
    let id = client.mux.open().expect("room");
    let mut message = |data: &'static [u8]| {
        client.mux.write(id, data.into()).expect("there is room");
        let mut message = BytesMut::new();
        client.mux.poll_transmit(&mut message, 1024);
        message.to_vec()
    };
    assert_eq!(
        message(b"one"),
        b"\x01\x02\x08\x00\x00\x00\x00\x00\x01\x02\x13\x00\x00\x00\x00\x00\
          \x01\x00\x00\x00\x03\x00\x00\x00\x01\x02\x03\x00\x03\x00\x00\x00one\
          \x01\x02\x08\x00\x00\x00\x00\x00"
    );
    assert_eq!(
        message(b"two"),
        b"\x01\x02\x0b\x00\x00\x00\x00\x00\x01\x02\x03\x00\x03\x00\x00\x00two"
    );
    assert_eq!(message(b"three").len(), 24 + 8 + 5);
    assert_eq!(message(b"four").len(), 8 + 8 + 4);
}

#[test]
fn what_has_no_room_for_a_frame_is_not_begun() {
    let mut client = Client::new(true);
    let mut peer = Reader::default();
    let id = client.mux.open().expect("room");
    client.mux.write(id, b"late"[..].into()).expect("room");
    for max in 0..MIN_REPEATABLE {
        let mut message = BytesMut::new();
        assert_eq!(client.mux.poll_transmit(&mut message, max), 0, "{max}");
        assert!(message.is_empty(), "{max}");
    }
    while client
        .message(MIN_REPEATABLE, 2, &mut peer)
        .expect("sound messages")
    {}
    assert_eq!(peer.open[&id.number()], b"late");
}

/// A frame's length has 16 bits, whatever the message may carry.
#[test]
fn a_message_larger_than_a_frame_carries_what_a_frame_can() {
    let mut client = Client::new(true);
    let mut peer = Reader::default();
    let id = client.mux.open().expect("room");
    let data = vec![7; 300_000];
    client.mux.write(id, data.clone().into()).expect("room");
    while client
        .message(1 << 20, 1, &mut peer)
        .expect("sound messages")
    {}
    assert_eq!(peer.open[&id.number()], data);
}
