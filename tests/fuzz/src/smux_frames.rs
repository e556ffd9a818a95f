//! Arbitrary bytes from a smux peer, compared with an independent decoder written here.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ssm_smux::{Mux, MuxConfig, MuxEvent, Read, Role, SmuxError, StreamId};

/// Both directions of the recorded session, whole and cut.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for bytes in super::recorded::smux() {
        for role in 0..4 {
            let mut seed = vec![role];
            seed.extend_from_slice(bytes.get(..bytes.len().min(4000)).unwrap_or_default());
            seeds.push(seed);
        }
    }
    seeds
}

/// The first byte says the role and how the rest is cut; the rest is what the peer sent.
pub fn run(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let role = if first & 1 == 0 {
        Role::Client
    } else {
        Role::Server
    };
    let piece = usize::from(first >> 1).max(1);
    let whole = listen(role, bytes, bytes.len().max(1));
    let pieces = listen(role, bytes, piece);
    assert_eq!(whole, pieces);
    assert_eq!(whole, expected(role, bytes));
}

/// What a session makes of the bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    streams: BTreeMap<StreamId, Vec<u8>>,
    finished: BTreeSet<StreamId>,
    error: Option<SmuxError>,
}

fn listen(role: Role, bytes: &[u8], piece: usize) -> Heard {
    let now = super::start::start();
    let mut mux = Mux::new(role, MuxConfig::default(), now);
    let mut heard = Heard::default();
    let mut fed = 0;
    for piece in bytes.chunks(piece) {
        fed += piece.len();
        if let Err(error) = mux.handle(Bytes::copy_from_slice(piece), now) {
            heard.error = Some(error);
            assert_eq!(
                mux.handle(Bytes::from_static(b"x"), now),
                Err(SmuxError::Dead)
            );
            assert!(mux.open().is_err());
            break;
        }
        assert!(mux.buffered() <= fed);
    }
    while let Some(id) = mux.accept() {
        heard.streams.insert(id, Vec::new());
    }
    let mut told = BTreeSet::new();
    while let Some(event) = mux.poll_event() {
        match event {
            MuxEvent::Opened(id) => assert!(heard.streams.contains_key(&id)),
            MuxEvent::Readable(id) => assert!(told.insert(id)),
            MuxEvent::Finished(id) => assert!(heard.finished.insert(id)),
            other => panic!("{other:?}"),
        }
    }
    for (id, read) in &mut heard.streams {
        let end = loop {
            match mux.read(*id) {
                Read::Data(data) => read.extend_from_slice(&data),
                end => break end,
            }
        };
        let expected = match (heard.finished.contains(id), &heard.error) {
            (true, _) => Read::Finished,
            (false, Some(_)) => Read::Reset,
            (false, None) => Read::Blocked,
        };
        assert_eq!(end, expected);
        assert_eq!(told.contains(id), !read.is_empty());
    }
    assert_eq!(mux.buffered(), 0);
    heard
}

fn expected(role: Role, mut bytes: &[u8]) -> Heard {
    let mut heard = Heard::default();
    while let [version, command, l0, l1, s0, s1, s2, s3, rest @ ..] = bytes {
        if *version != 1 {
            heard.error = Some(SmuxError::Version { found: *version });
            break;
        }
        let length = usize::from(u16::from_le_bytes([*l0, *l1]));
        let number = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
        let id = StreamId::new(number);
        // A client hears of even streams, a server of odd ones.
        let may = number != 0 && number.is_multiple_of(2) == (role == Role::Client);
        bytes = rest;
        match command {
            0 if may => {
                heard.streams.entry(id).or_default();
            }
            0 | 3 => {}
            1 => {
                if heard.streams.contains_key(&id) {
                    heard.finished.insert(id);
                }
            }
            2 => {
                let (data, after) = rest.split_at(length.min(rest.len()));
                bytes = after;
                if let Some(stream) = heard.streams.get_mut(&id)
                    && !heard.finished.contains(&id)
                {
                    stream.extend_from_slice(data);
                }
            }
            found => {
                heard.error = Some(SmuxError::Command { found: *found });
                break;
            }
        }
    }
    heard
}
