//! The bare companion: the least work with which the protocol's bytes can be moved.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Sink as _, Stream as _};
use sha2::{Digest as _, Sha256};
use ssm_protocol::wire::{MessageType, PAYLOAD_OFFSET};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::frames::{self, DIGEST, NUMBER};
use crate::peer::Peer;

/// Messages handled before the socket is flushed.
const BATCH: usize = 128;
/// Unacknowledged messages: 4 MiB, equal to the relay's limit.
const WINDOW: u64 = 4096;

/// A websocket with only the unavoidable cost of the protocol: one hash and one acknowledgement per
/// message.
#[derive(Debug)]
pub struct Bare {
    websocket: WebSocketStream<TcpStream>,
    acknowledgement: Bytes,
    next: i64,
    acknowledged: u64,
}

impl Bare {
    /// Connects, with the websocket's buffers as large as the relay's.
    pub async fn connect(peer: &Peer) -> Self {
        let tcp = TcpStream::connect(peer.address()).await.expect("loopback");
        tcp.set_nodelay(true).expect("a TCP socket");
        let config = WebSocketConfig::default()
            .read_buffer_size(64 << 10)
            .write_buffer_size(64 << 10);
        let (websocket, _) =
            tokio_tungstenite::client_async_with_config(peer.url(), tcp, Some(config))
                .await
                .expect("a websocket");
        let mut acknowledgement = BytesMut::new();
        frames::acknowledge(
            MessageType::OutputStreamData,
            &[0; PAYLOAD_OFFSET],
            &mut acknowledgement,
        );
        Self {
            websocket,
            acknowledgement: acknowledgement.freeze(),
            next: 0,
            acknowledged: 0,
        }
    }

    /// Reads this many messages, verifying and acknowledging each.
    pub async fn receive(&mut self, messages: u64) {
        let mut left = messages;
        let mut unflushed = 0;
        poll_fn(|cx| {
            while left > 0 {
                ready!(Pin::new(&mut self.websocket).poll_ready(cx)).expect("an open websocket");
                match Pin::new(&mut self.websocket).poll_next(cx) {
                    Poll::Ready(message) => {
                        let frame = data(message);
                        verify(&frame);
                        self.acknowledge(&frame);
                        left -= 1;
                        unflushed += 1;
                        if unflushed < BATCH {
                            continue;
                        }
                    }
                    Poll::Pending if unflushed == 0 => return Poll::Pending,
                    Poll::Pending => {}
                }
                ready!(Pin::new(&mut self.websocket).poll_flush(cx)).expect("an open websocket");
                unflushed = 0;
            }
            Pin::new(&mut self.websocket)
                .poll_flush(cx)
                .map(|outcome| outcome.expect("an open websocket"))
        })
        .await;
    }

    /// A template: only the header carries the number, so that the body keeps its length.
    fn acknowledge(&mut self, of: &[u8]) {
        let mut frame = BytesMut::with_capacity(self.acknowledgement.len());
        frame.put_slice(&self.acknowledgement);
        frame[NUMBER].copy_from_slice(&of[NUMBER]);
        let digest = Sha256::digest(&frame[PAYLOAD_OFFSET..]);
        frame[DIGEST].copy_from_slice(&digest);
        Pin::new(&mut self.websocket)
            .start_send(Message::Binary(frame.freeze()))
            .expect("an open websocket");
    }

    /// Sends this many messages of `payload`, each with its digest, at most 4 MiB ahead of the
    /// acknowledgements, which it verifies. Returns with the last acknowledgement.
    pub async fn send(&mut self, messages: u64, payload: &[u8]) {
        let end = self.next + messages as i64;
        poll_fn(|cx| {
            loop {
                let mut moved = false;
                for _ in 0..BATCH {
                    let Poll::Ready(message) = Pin::new(&mut self.websocket).poll_next(cx) else {
                        break;
                    };
                    verify(&data(message));
                    self.acknowledged += 1;
                    moved = true;
                }
                let room = WINDOW.saturating_sub(self.next as u64 - self.acknowledged);
                let batch = (end - self.next).min(room.min(BATCH as u64) as i64);
                for _ in 0..batch {
                    if Pin::new(&mut self.websocket).poll_ready(cx).is_pending() {
                        break;
                    }
                    let mut frame = BytesMut::with_capacity(PAYLOAD_OFFSET + payload.len());
                    frame.resize(PAYLOAD_OFFSET, 0);
                    frame.put_slice(payload);
                    frames::input(self.next, &mut frame);
                    Pin::new(&mut self.websocket)
                        .start_send(Message::Binary(frame.freeze()))
                        .expect("an open websocket");
                    self.next += 1;
                    moved = true;
                }
                let flushed = Pin::new(&mut self.websocket).poll_flush(cx);
                if self.acknowledged as i64 == end && flushed.is_ready() {
                    return Poll::Ready(());
                }
                if !moved {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }

    /// Sends one message unchanged and waits until it comes back.
    pub async fn round(&mut self, message: &Bytes) {
        poll_fn(|cx| {
            ready!(Pin::new(&mut self.websocket).poll_ready(cx)).expect("an open websocket");
            Pin::new(&mut self.websocket)
                .start_send(Message::Binary(message.clone()))
                .expect("an open websocket");
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| Pin::new(&mut self.websocket).poll_flush(cx))
            .await
            .expect("an open websocket");
        let back = poll_fn(|cx| Pin::new(&mut self.websocket).poll_next(cx)).await;
        assert_eq!(data(back).len(), message.len());
    }
}

fn data(message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>) -> Bytes {
    match message {
        Some(Ok(Message::Binary(data))) => data,
        other => panic!("no data: {other:?}"),
    }
}

fn verify(frame: &[u8]) {
    let digest = Sha256::digest(&frame[PAYLOAD_OFFSET..]);
    assert_eq!(digest[..], frame[DIGEST]);
}

/// A local program: sends `data` and waits for the same number of bytes.
pub async fn echo(tcp: &mut TcpStream, data: &[u8], back: &mut [u8]) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    tcp.write_all(data).await.expect("taken");
    tcp.read_exact(back).await.expect("comes back");
}
