//! The fast peer on loopback that the benchmarks of the relay talk to.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use bytes::BytesMut;
use ssm_protocol::payload::{HandshakeComplete, HandshakeRequest, SessionProperties};
use ssm_protocol::wire::{MessageType, PAYLOAD_OFFSET, PayloadType};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::frames::{self, Burst, TYPE, websocket_head};

const READ: usize = 256 << 10;
/// Read buffer of one connection among thousands.
const READ_IDLE: usize = 4 << 10;
const FIRST_STREAM: [u8; 4] = [3, 0, 0, 0];
const INPUT: &[u8] = b"input_stream_data               ";

/// What a [`Peer`] does with arriving messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Acknowledges stream data.
    Sink,
    /// Also returns the data of the first stream.
    Echo,
    /// Returns every websocket message, without a data channel.
    Bare,
}

/// Service and agent in one, on loopback, for one websocket: threads that read and write large blocks,
/// from templates. It checks nothing, so that a benchmark measures the other side.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    path: &'static str,
    shared: Arc<Shared>,
    payload: usize,
}

#[derive(Debug)]
struct Shared {
    /// Payload bytes of stream data received, minus 8 bytes of smux per message; and messages of any type.
    received: AtomicU64,
    messages: AtomicU64,
    wanted: Mutex<u64>,
    arrived: Condvar,
    socket: Mutex<Option<TcpStream>>,
    connected: Condvar,
    next_number: AtomicU64,
}

impl Peer {
    /// Starts a peer whose messages carry `payload` bytes. With `handshake` it is an agent that requests a
    /// port session; otherwise it exchanges plain messages.
    pub fn start(mode: Mode, handshake: bool, payload: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared::new());
        let served = shared.clone();
        thread::spawn(move || {
            let (tcp, _) = listener.accept().expect("a connection");
            serve(tcp, &served, mode, handshake, READ);
        });
        Self {
            address,
            path: "/v1/data-channel/s?role=publish_subscribe",
            shared,
            payload,
        }
    }

    /// URL of its websocket.
    pub fn url(&self) -> String {
        format!("ws://{}{}", self.address, self.path)
    }

    /// Address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends this many messages (whole smux frames of stream 3) in the background, as fast as the socket
    /// takes them. Returns the number of stream bytes they carry.
    pub fn flood(&self, messages: u64) -> u64 {
        let shared = self.shared.clone();
        let first = shared.next_number.fetch_add(messages, Ordering::SeqCst);
        let mut burst = Burst::new(self.payload, first);
        let data = burst.data(messages);
        let mut socket = shared.socket.lock().expect("no thread panics");
        while socket.is_none() {
            socket = shared.connected.wait(socket).expect("no thread panics");
        }
        let mut tcp = socket
            .as_ref()
            .and_then(|tcp| tcp.try_clone().ok())
            .expect("a socket");
        drop(socket);
        thread::spawn(move || {
            for _ in 0..messages / burst.messages() {
                burst.renumber();
                // The reader writes nothing while the client sends no stream data.
                if tcp.write_all(&burst.bytes).is_err() {
                    return;
                }
            }
        });
        data
    }

    /// Payload bytes of stream data received so far, minus 8 bytes of smux per message.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::SeqCst)
    }

    /// Messages of any type received so far.
    pub fn messages(&self) -> u64 {
        self.shared.messages.load(Ordering::SeqCst)
    }

    /// Waits until [`received`](Self::received) reaches this number.
    pub fn wait_for(&self, bytes: u64) {
        let mut wanted = self.shared.wanted.lock().expect("no thread panics");
        *wanted = bytes;
        while self.received() < bytes {
            wanted = self.shared.arrived.wait(wanted).expect("no thread panics");
        }
        *wanted = u64::MAX;
    }
}

/// Agents on any number of websockets, which only acknowledge, until the process ends.
pub fn serve_all(listener: &TcpListener) {
    for tcp in listener.incoming().flatten() {
        let thread = thread::Builder::new().stack_size(64 << 10);
        let served = move || serve(tcp, &Shared::new(), Mode::Sink, true, READ_IDLE);
        thread.spawn(served).expect("a thread");
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            received: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            wanted: Mutex::new(u64::MAX),
            arrived: Condvar::new(),
            socket: Mutex::new(None),
            connected: Condvar::new(),
            next_number: AtomicU64::new(0),
        }
    }
}

fn serve(mut tcp: TcpStream, shared: &Shared, mode: Mode, handshake: bool, read: usize) {
    tcp.set_nodelay(true).expect("a TCP socket");
    let mut input = upgrade(&mut tcp);
    let mut connection = Connection {
        shared,
        mode,
        out: Vec::new(),
        frame: BytesMut::new(),
        complete_due: handshake,
        announced: handshake.then_some(false),
    };
    if handshake {
        let properties: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
        let request = HandshakeRequest::port("3.3.4851.0", &properties);
        let body = serde_json::to_vec(&request).expect("plain data");
        connection.output(PayloadType::HandshakeRequest, &body);
    }
    *shared.socket.lock().expect("no thread panics") = tcp.try_clone().ok();
    shared.connected.notify_all();
    let mut filled = input.len();
    input.resize(read, 0);
    loop {
        let mut at = 0;
        while let Some(taken) = connection.message(&mut input[at..filled]) {
            at += taken;
        }
        input.copy_within(at..filled, 0);
        filled -= at;
        if !connection.out.is_empty() {
            if tcp.write_all(&connection.out).is_err() {
                return;
            }
            connection.out.clear();
        }
        connection.tell();
        match tcp.read(&mut input[filled..]) {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
    }
}

/// Answers the HTTP request; returns the bytes that followed it.
fn upgrade(tcp: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    let end = loop {
        if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        let count = tcp.read(&mut piece).expect("a request");
        assert!(count > 0, "the request ended early");
        request.extend_from_slice(&piece[..count]);
    };
    let text = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let at = text.find("sec-websocket-key:").expect("a key") + "sec-websocket-key:".len();
    let key: Vec<u8> = request[at..end]
        .iter()
        .copied()
        .skip_while(|byte| *byte == b' ')
        .take_while(|byte| *byte != b'\r')
        .collect();
    let accept = derive_accept_key(&key);
    write!(
        tcp,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .expect("an open socket");
    request.split_off(end)
}

struct Connection<'a> {
    shared: &'a Shared,
    mode: Mode,
    out: Vec<u8>,
    frame: BytesMut,
    complete_due: bool,
    /// Whether the previous message ended with the header of 8 bytes to discard; `None` for the bare loop,
    /// which sends plain frames.
    announced: Option<bool>,
}

impl Connection<'_> {
    /// Takes one websocket message from the front of `input`, and returns its length.
    fn message(&mut self, input: &mut [u8]) -> Option<usize> {
        let length = usize::from(*input.get(1)? & 0x7f);
        let (length, at) = match length {
            126 => (
                usize::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?)),
                4,
            ),
            127 => (
                u64::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize,
                10,
            ),
            short => (short, 2),
        };
        let mask: [u8; 4] = *input.get(at..)?.first_chunk()?;
        let end = at + 4 + length;
        let opcode = *input.first()? & 0xf;
        let message = input.get_mut(at + 4..end)?;
        self.shared.messages.fetch_add(1, Ordering::Relaxed);
        if opcode != 2 {
            return Some(end); // OpenDataChannel, pings
        }
        // Only an echo needs the payload.
        let looked_at = match self.mode {
            Mode::Sink => length.min(PAYLOAD_OFFSET),
            Mode::Echo | Mode::Bare => length,
        };
        for (byte, mask) in message[..looked_at].iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        if self.mode == Mode::Bare {
            websocket_head(message.len(), &mut self.out);
            self.out.extend_from_slice(message);
        } else if message.get(TYPE).is_some_and(|kind| kind == INPUT) {
            self.stream_data(message);
        }
        Some(end)
    }

    fn stream_data(&mut self, message: &[u8]) {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        frames::acknowledge(MessageType::InputStreamData, message, &mut frame);
        websocket_head(frame.len(), &mut self.out);
        self.out.extend_from_slice(&frame);
        self.frame = frame;
        if std::mem::take(&mut self.complete_due) {
            let complete = HandshakeComplete {
                handshake_time_to_complete: 1,
                customer_message: String::new(),
            };
            let body = serde_json::to_vec(&complete).expect("plain data");
            self.output(PayloadType::HandshakeComplete, &body);
            return;
        }
        let payload = &message[PAYLOAD_OFFSET..];
        // Repeatable messages: 8 bytes precede the frames, or 16 precede and 8 follow them.
        let frames = match self.announced {
            None => Some(payload),
            Some(true) => payload.get(8..),
            Some(false) => payload.get(16..payload.len().saturating_sub(8)),
        };
        self.announced = self.announced.map(|announced| !announced);
        let frames = frames.unwrap_or_default();
        self.shared
            .received
            .fetch_add(frames.len().saturating_sub(8) as u64, Ordering::SeqCst);
        if self.mode == Mode::Echo {
            let mut rest = frames;
            while let Some([1, command, l0, l1, ..]) = rest.first_chunk::<8>() {
                let frame = 8 + usize::from(u16::from_le_bytes([*l0, *l1]));
                if *command == 2 && rest[4..8] == FIRST_STREAM {
                    self.output(PayloadType::Output, rest.get(..frame).unwrap_or_default());
                }
                rest = rest.get(frame..).unwrap_or_default();
            }
        }
    }

    fn output(&mut self, kind: PayloadType, payload: &[u8]) {
        let number = self.shared.next_number.fetch_add(1, Ordering::SeqCst);
        let message = frames::output(number as i64, kind, payload);
        websocket_head(message.len(), &mut self.out);
        self.out.extend_from_slice(&message);
    }

    fn tell(&self) {
        let wanted = self.shared.wanted.lock().expect("no thread panics");
        if self.shared.received.load(Ordering::SeqCst) >= *wanted {
            self.shared.arrived.notify_all();
        }
    }
}
