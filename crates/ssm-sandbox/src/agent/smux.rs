//! smux version 1 as the agent's library does it (`vendor/github.com/xtaci/smux` @1c217c89), and
//! not our client's crate: a mistake made there twice would cancel out.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

const HEADER: usize = 8;
const VERSION: u8 = 1;
const SYN: u8 = 0;
const FIN: u8 = 1;
const PSH: u8 = 2;
const NOP: u8 = 3;
/// Largest frame written.
const FRAME: usize = 32 << 10;
/// Frames that wait for the data channel before writers wait.
const MOST_UNSENT: usize = 64 << 10;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(30);

/// The server's side of a session.
#[derive(Debug)]
pub(super) struct Smux {
    /// The part of a frame that arrived.
    input: BytesMut,
    streams: BTreeMap<u32, Stream>,
    opened: VecDeque<u32>,
    /// Streams with something new to read.
    ready: VecDeque<u32>,
    buffered: usize,
    /// Most of them.
    receive_buffer: usize,
    out: BytesMut,
    keepalive: Option<Keepalive>,
    dead: bool,
}

#[derive(Debug, Default)]
struct Stream {
    received: VecDeque<Bytes>,
    /// The client's FIN arrived.
    finished: bool,
}

#[derive(Debug)]
struct Keepalive {
    send_at: Instant,
    check_at: Instant,
    /// A frame arrived since the last check.
    received_frame: bool,
}

/// The next part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Data(Bytes),
    Nothing,
    End,
}

impl Smux {
    pub(super) fn new(keepalive: bool, receive_buffer: usize, now: Instant) -> Self {
        Self {
            input: BytesMut::new(),
            streams: BTreeMap::new(),
            opened: VecDeque::new(),
            ready: VecDeque::new(),
            buffered: 0,
            receive_buffer,
            out: BytesMut::new(),
            keepalive: keepalive.then(|| Keepalive {
                send_at: now + KEEPALIVE_INTERVAL,
                check_at: now + KEEPALIVE_TIMEOUT,
                received_frame: true,
            }),
            dead: false,
        }
    }

    /// The client sent something other than smux, or nothing for too long.
    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    pub(super) fn is_full(&self) -> bool {
        self.buffered >= self.receive_buffer
    }

    pub(super) fn handle(&mut self, bytes: &[u8]) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.received_frame = true;
        }
        self.input.extend_from_slice(bytes);
        while !self.dead
            && let Some([version, command, l0, l1, s0, s1, s2, s3]) = self.input.first_chunk()
        {
            let (version, command) = (*version, *command);
            let length = usize::from(u16::from_le_bytes([*l0, *l1]));
            let id = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
            if version != VERSION || command > NOP {
                self.dead = true;
                return;
            }
            let body = if command == PSH { length } else { 0 };
            if self.input.len() < HEADER + body {
                return;
            }
            self.input.advance(HEADER);
            let body = self.input.split_to(body).freeze();
            match command {
                SYN if !self.streams.contains_key(&id) => {
                    self.streams.insert(id, Stream::default());
                    self.opened.push_back(id);
                }
                FIN => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.finished = true;
                        self.ready.push_back(id);
                    }
                }
                PSH => {
                    if let Some(stream) = self.streams.get_mut(&id).filter(|_| !body.is_empty()) {
                        self.buffered += body.len();
                        stream.received.push_back(body);
                        self.ready.push_back(id);
                    }
                }
                _ => {}
            }
        }
    }

    /// The next stream that the client opened.
    pub(super) fn accept(&mut self) -> Option<u32> {
        self.opened.pop_front()
    }

    /// A stream with something new to read.
    pub(super) fn poll_ready(&mut self) -> Option<u32> {
        self.ready.pop_front()
    }

    pub(super) fn read(&mut self, id: u32) -> Received {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Received::End;
        };
        match stream.received.pop_front() {
            Some(data) => {
                self.buffered -= data.len();
                Received::Data(data)
            }
            None if stream.finished || self.dead => Received::End,
            None => Received::Nothing,
        }
    }

    /// Bytes that may be written to the stream now; `None` when it takes none any more.
    pub(super) fn room(&self, id: u32) -> Option<usize> {
        self.streams.get(&id)?;
        let room = MOST_UNSENT.saturating_sub(self.out.len());
        Some(room.min(FRAME))
    }

    pub(super) fn write(&mut self, id: u32, data: &[u8]) {
        if self.streams.contains_key(&id) {
            for data in data.chunks(FRAME) {
                self.frame(PSH, id, data);
            }
        }
    }

    /// Ends the stream both ways.
    pub(super) fn close(&mut self, id: u32) {
        if let Some(stream) = self.streams.remove(&id) {
            self.buffered -= stream.received.iter().map(Bytes::len).sum::<usize>();
            self.frame(FIN, id, &[]);
        }
    }

    fn frame(&mut self, command: u8, id: u32, data: &[u8]) {
        self.out.put_u8(VERSION);
        self.out.put_u8(command);
        self.out
            .put_u16_le(u16::try_from(data.len()).unwrap_or(u16::MAX));
        self.out.put_u32_le(id);
        self.out.put_slice(data);
    }

    pub(super) fn wants_transmit(&self) -> bool {
        // A session that failed sends nothing more, not even the end of its streams.
        !self.dead && !self.out.is_empty()
    }

    /// The next bytes for the client, at most `max`.
    pub(super) fn transmit(&mut self, max: usize) -> Bytes {
        let length = self.out.len().min(max);
        self.out.split_to(length).freeze()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let keepalive = self.keepalive.as_ref().filter(|_| !self.dead)?;
        Some(keepalive.send_at.min(keepalive.check_at))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let full = self.is_full();
        let Some(keepalive) = self.keepalive.as_mut().filter(|_| !self.dead) else {
            return;
        };
        let nop = now >= keepalive.send_at;
        if nop {
            keepalive.send_at = now + KEEPALIVE_INTERVAL;
        }
        if now >= keepalive.check_at {
            keepalive.check_at = now + KEEPALIVE_TIMEOUT;
            // A session that is too full to read receives nothing.
            self.dead = !std::mem::take(&mut keepalive.received_frame) && !full;
        }
        if nop {
            self.frame(NOP, 0, &[]);
        }
    }
}
