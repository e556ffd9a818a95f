//! Two multiplexers joined by a byte stream that is cut anywhere.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use ssm_smux::{Mux, MuxConfig, MuxEvent, Read, Role, StreamId};

#[derive(Debug, Clone)]
enum Step {
    Open,
    Write { stream: usize, length: usize },
    Close { stream: usize },
    Reset { stream: usize },
    Pass { bytes: usize, pieces: usize },
    ReadAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Open),
        6 => (0..8_usize, 0..5000_usize).prop_map(|(stream, length)| Step::Write { stream, length }),
        1 => (0..8_usize).prop_map(|stream| Step::Close { stream }),
        1 => (0..8_usize).prop_map(|stream| Step::Reset { stream }),
        8 => (1..3000_usize, 1..9_usize).prop_map(|(bytes, pieces)| Step::Pass { bytes, pieces }),
        4 => Just(Step::ReadAll),
    ]
}

/// The client's streams and what was written to them, against what the server read.
struct Pair {
    client: Mux,
    server: Mux,
    now: Instant,
    opened: Vec<StreamId>,
    written: BTreeMap<StreamId, Vec<u8>>,
    reset: Vec<StreamId>,
    received: BTreeMap<StreamId, Vec<u8>>,
    finished: Vec<StreamId>,
    next_byte: u8,
}

impl Pair {
    fn new() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do as the start"
        )]
        let now = Instant::now();
        Self {
            client: Mux::new(Role::Client, MuxConfig::default(), now),
            server: Mux::new(Role::Server, MuxConfig::default(), now),
            now,
            opened: Vec::new(),
            written: BTreeMap::new(),
            reset: Vec::new(),
            received: BTreeMap::new(),
            finished: Vec::new(),
            next_byte: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Open => {
                let id = self.client.open().expect("there is room");
                self.opened.push(id);
                self.written.insert(id, Vec::new());
            }
            Step::Write { stream, length } => {
                let Some(id) = self.opened.get(stream).copied() else {
                    return;
                };
                let data: Vec<u8> = (0..length).map(|_| self.byte()).collect();
                if self.client.write(id, Bytes::from(data.clone())).is_ok() {
                    self.written.entry(id).or_default().extend_from_slice(&data);
                }
            }
            Step::Close { stream } => {
                if let Some(id) = self.opened.get(stream) {
                    self.client.close(*id);
                }
            }
            Step::Reset { stream } => {
                if let Some(id) = self.opened.get(stream).copied()
                    && self.client.writable(id).is_some()
                {
                    self.client.reset(id);
                    self.reset.push(id);
                }
            }
            Step::Pass { bytes, pieces } => self.pass(bytes, pieces),
            Step::ReadAll => self.read_all(),
        }
    }

    fn byte(&mut self) -> u8 {
        self.next_byte = self.next_byte.wrapping_add(1);
        self.next_byte
    }

    fn pass(&mut self, bytes: usize, pieces: usize) {
        let mut wire = BytesMut::new();
        let taken = self.client.poll_transmit(&mut wire, bytes);
        assert_eq!(taken, wire.len());
        assert!(taken <= bytes);
        let mut wire = wire.freeze();
        let piece = (wire.len() / pieces).max(1);
        while !wire.is_empty() {
            let part = wire.split_to(piece.min(wire.len()));
            self.server
                .handle(part, self.now)
                .expect("our own frames are sound");
        }
    }

    fn read_all(&mut self) {
        while let Some(event) = self.server.poll_event() {
            if let MuxEvent::Opened(id) = event {
                self.received.entry(id).or_default();
            }
        }
        let ids: Vec<_> = self.received.keys().copied().collect();
        for id in ids {
            loop {
                match self.server.read(id) {
                    Read::Data(data) => {
                        self.received
                            .entry(id)
                            .or_default()
                            .extend_from_slice(&data);
                    }
                    Read::Finished if !self.finished.contains(&id) => self.finished.push(id),
                    _ => break,
                }
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.client.wants_transmit() {
                self.read_all();
                return;
            }
            self.pass(1024, 3);
            self.read_all();
        }
        panic!("the client never runs out of frames");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_stream_delivers_what_was_written_to_it(steps in prop::collection::vec(step(), 1..80)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.run(step);
        }
        pair.settle();
        for (id, written) in &pair.written {
            let received = pair.received.get(id).cloned().unwrap_or_default();
            if pair.reset.contains(id) {
                prop_assert!(written.starts_with(&received), "stream {id}");
            } else {
                prop_assert!(received == *written, "stream {id}");
            }
        }
        prop_assert_eq!(pair.server.buffered(), 0);
    }

    #[test]
    fn garbage_is_an_error_or_nothing_and_never_a_panic(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..40)
    ) {
        let mut pair = Pair::new();
        let stream = pair.client.open().expect("there is room");
        let mut failed = false;
        for piece in pieces {
            failed |= pair.client.handle(piece.into(), pair.now).is_err();
            let _ = pair.client.read(stream);
            while pair.client.poll_event().is_some() {}
        }
        prop_assert_eq!(pair.client.open().is_err(), failed);
    }
}
