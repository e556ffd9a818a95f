//! Behaviour in virtual time, with frames written out as text.

mod decoding;
mod ending;
mod extreme_settings;
mod half_closing;
mod keeping_alive;
mod limits;
mod opening;
mod receiving;
mod sending;

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::wire::{Decoder, Frame, Piece};
use crate::{Mux, MuxConfig, MuxEvent, Read, Role, StreamId};

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "an instant to count from; nothing depends on which"
)]
fn start() -> Instant {
    Instant::now()
}

fn client(config: MuxConfig, now: Instant) -> Mux {
    Mux::new(Role::Client, config, now)
}

fn server(config: MuxConfig, now: Instant) -> Mux {
    Mux::new(Role::Server, config, now)
}

fn id(number: u32) -> StreamId {
    StreamId::new(number)
}

/// Everything that the multiplexer wants to send, in one piece.
fn wire(mux: &mut Mux) -> Bytes {
    let mut bytes = BytesMut::new();
    mux.poll_transmit(&mut bytes, usize::MAX);
    bytes.freeze()
}

/// Frames as text: `SYN 3`, `PSH 3 hello`, `FIN 3`, `NOP`; data of several letters by its length.
fn transcript(mut bytes: Bytes) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    while let Some(piece) = decoder.next(&mut bytes).expect("our own frames") {
        frames.push(match piece {
            Piece::Frame(Frame::Syn(id)) => format!("SYN {id}"),
            Piece::Frame(Frame::Fin(id)) => format!("FIN {id}"),
            Piece::Frame(Frame::Nop) => "NOP".to_owned(),
            Piece::Frame(Frame::Psh { .. }) => continue,
            Piece::Data(id, data) if data.len() > 20 => format!("PSH {id} [{}]", data.len()),
            Piece::Data(id, data) => format!("PSH {id} {}", String::from_utf8_lossy(&data)),
        });
    }
    frames
}

fn sent(mux: &mut Mux) -> Vec<String> {
    transcript(wire(mux))
}

fn frames(frames: &[Frame]) -> Bytes {
    frames.iter().flat_map(|frame| frame.encode()).collect()
}

fn data(stream: u32, data: &[u8]) -> Bytes {
    let length = u16::try_from(data.len()).expect("one frame");
    let stream = id(stream);
    let header = Frame::Psh { stream, length }.encode();
    header.iter().chain(data).copied().collect()
}

fn syn(stream: u32) -> Bytes {
    frames(&[Frame::Syn(id(stream))])
}

fn fin(stream: u32) -> Bytes {
    frames(&[Frame::Fin(id(stream))])
}

/// Carries everything from one to the other.
fn carry(from: &mut Mux, to: &mut Mux, now: Instant) {
    to.handle(wire(from), now).expect("sound frames");
}

fn events(mux: &mut Mux) -> Vec<MuxEvent> {
    std::iter::from_fn(|| mux.poll_event()).collect()
}

/// Everything that can be read now, and how it ends.
fn read_all(mux: &mut Mux, id: StreamId) -> (Vec<u8>, Read) {
    let mut all = Vec::new();
    loop {
        match mux.read(id) {
            Read::Data(data) => all.extend_from_slice(&data),
            end => return (all, end),
        }
    }
}
