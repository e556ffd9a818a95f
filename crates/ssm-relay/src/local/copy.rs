//! Copies between a local connection and a stream, both ways.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use ssm_session::CallError;
use tokio::io::AsyncWrite as _;

use super::local_stream::{LocalStream, ResetOnDrop};
use crate::stream::{StreamError, StreamHandle};

/// Bytes read from the local socket at once: usually, and while it always has more.
const READ_SIZE: usize = 16 << 10;
const BULK_READ_SIZE: usize = 64 << 10;
/// Maximum bytes taken from the stream and not yet taken by the local socket.
const WRITE_SIZE: usize = 64 << 10;
/// Why copying ended.
pub(crate) enum CopyEnd<A> {
    /// The destination closed in order and everything was delivered.
    Finished {
        /// Whether the local peer's end-of-file was read before.
        local_finished: bool,
    },
    /// The local peer is gone.
    Local(io::Error),
    /// The stream failed.
    Stream(StreamError<A>),
}

/// Runs until either side ends.
pub(crate) async fn copy<A: CallError>(
    local: &mut ResetOnDrop,
    stream: &mut StreamHandle<A>,
) -> CopyEnd<A> {
    let mut state = Copy::new();
    poll_fn(|cx| state.poll(cx, &mut local.local, stream)).await
}

/// Reads up to a number of bytes from the local peer and returns how many: none at its end-of-file.
type ReadLocal<'a> =
    dyn FnMut(&mut Context<'_>, &mut BytesMut, usize) -> Poll<io::Result<usize>> + 'a;

struct Copy {
    buffer: BytesMut,
    read_size: usize,
    local_finished: bool,
    delivering: VecDeque<Bytes>,
    delivering_bytes: usize,
    remote_finished: bool,
}

impl Copy {
    fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            read_size: READ_SIZE,
            local_finished: false,
            delivering: VecDeque::new(),
            delivering_bytes: 0,
            remote_finished: false,
        }
    }

    fn poll<A: CallError>(
        &mut self,
        cx: &mut Context<'_>,
        local: &mut LocalStream,
        stream: &mut StreamHandle<A>,
    ) -> Poll<CopyEnd<A>> {
        let read = &mut |cx: &mut Context<'_>, to: &mut BytesMut, max| {
            local.poll_read_buf(cx, &mut to.limit(max))
        };
        // First, so that what the local peer has already sent shares a message with the stream's opening:
        // tokio considers an accepted socket readable from the start (since 1.54).
        if let Poll::Ready(end) = self.poll_upload(cx, stream, read) {
            return Poll::Ready(end);
        }
        self.poll_download(cx, local, stream)
    }

    fn poll_upload<A: CallError>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut StreamHandle<A>,
        read: &mut ReadLocal<'_>,
    ) -> Poll<CopyEnd<A>> {
        while !self.local_finished && !self.remote_finished {
            let room = match stream.poll_writable(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(room)) => room,
                // Reading finds out whether it ended in order, after what is still to be read.
                Poll::Ready(Err(_)) => return Poll::Pending,
            };
            match self.read_local(cx, read, room.min(self.read_size)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(CopyEnd::Local(error)),
                Poll::Ready(Ok(data)) if data.is_empty() => {
                    self.local_finished = true;
                    stream.finish();
                }
                Poll::Ready(Ok(data)) => {
                    // It may have ended since it had room: the session runs on another thread.
                    if stream.write(data).is_err() {
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Pending
    }

    /// Up to `max` bytes from the local peer; none at its end-of-file.
    fn read_local(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut ReadLocal<'_>,
        max: usize,
    ) -> Poll<io::Result<Bytes>> {
        self.buffer.reserve(max);
        match read(cx, &mut self.buffer, max) {
            Poll::Pending => {
                // An idle connection keeps no buffer.
                self.buffer = BytesMut::new();
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(length)) => {
                let full = length == max;
                self.read_size = if full { BULK_READ_SIZE } else { READ_SIZE };
                if length < self.buffer.capacity() / 2 {
                    // A few bytes must not keep the whole buffer alive until they are sent.
                    let data = Bytes::copy_from_slice(&self.buffer);
                    self.buffer.clear();
                    return Poll::Ready(Ok(data));
                }
                Poll::Ready(Ok(self.buffer.split().freeze()))
            }
        }
    }

    fn poll_download<A: CallError>(
        &mut self,
        cx: &mut Context<'_>,
        local: &mut LocalStream,
        stream: &mut StreamHandle<A>,
    ) -> Poll<CopyEnd<A>> {
        loop {
            while !self.remote_finished && self.delivering_bytes < WRITE_SIZE {
                let room = WRITE_SIZE - self.delivering_bytes;
                let take = |data| self.delivering.push_back(data);
                match stream.poll_read_many(cx, room, take) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(0)) => self.remote_finished = true,
                    Poll::Ready(Ok(bytes)) => self.delivering_bytes += bytes,
                    Poll::Ready(Err(error)) => return Poll::Ready(CopyEnd::Stream(error)),
                }
            }
            if self.delivering_bytes == 0 {
                return if self.remote_finished {
                    Poll::Ready(CopyEnd::Finished {
                        local_finished: self.local_finished,
                    })
                } else {
                    Poll::Pending
                };
            }
            match self.write_local(cx, local) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(CopyEnd::Local(error)),
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    fn write_local(
        &mut self,
        cx: &mut Context<'_>,
        local: &mut LocalStream,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); 64];
        let mut count = 0;
        for (slice, data) in slices.iter_mut().zip(&self.delivering) {
            *slice = IoSlice::new(data);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        match Pin::new(local).poll_write_vectored(cx, slices) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(mut written)) => {
                self.delivering_bytes = self.delivering_bytes.saturating_sub(written);
                while let Some(first) = self.delivering.front_mut() {
                    if written < first.len() {
                        first.advance(written);
                        break;
                    }
                    written -= first.len();
                    self.delivering.pop_front();
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use ssm_forward::{ForwardConfig, PortForward};
    use ssm_protocol::payload::HandshakeRequest;
    use ssm_protocol::{Session, SessionConfig};
    use ssm_session::{DataChannel as _, SessionState};
    use tokio::io::AsyncReadExt as _;

    use super::super::local_stream::tests::pair;
    use super::*;
    use crate::stream::ForwardChannel;

    /// A port forward and its agent after their handshake, and when that was.
    fn ready() -> (PortForward, Session, Instant) {
        let mut now = Instant::now();
        let unix = Duration::from_secs(1_800_000_000);
        let properties = [("portNumber", "3389"), ("type", "LocalPortForwarding")];
        let request = HandshakeRequest::port("3.3.1142.0", &properties.into_iter().collect());
        let mut agent = Session::agent(SessionConfig::default(), request, [1; 32], now, unix);
        let mut forward = PortForward::new(ForwardConfig::default(), [2; 32], now, unix);
        agent.connected(now);
        forward.connected(now);
        for _ in 0..100 {
            now += Duration::from_millis(5);
            while let Some(message) = forward.poll_transmit(now) {
                agent.handle_message(message, now).expect("sound");
            }
            while let Some(message) = agent.poll_transmit(now) {
                forward.handle_message(message, now).expect("sound");
            }
            forward.handle_timeout(now).expect("no deadline passed");
        }
        assert!(forward.ready().is_some());
        (forward, agent, now)
    }

    /// Where the session runs on another thread, the end may come at any moment.
    #[tokio::test]
    async fn a_destination_that_ends_during_an_upload_is_read_to_its_end() {
        let (forward, mut agent, now) = ready();
        // "enough" on the first stream, and its end.
        let bytes = b"\x01\x02\x06\x00\x03\x00\x00\x00enough\x01\x01\x00\x00\x03\x00\x00\x00";
        agent.send(bytes, now).expect("room");
        let last = agent.poll_transmit(now).expect("a message");
        let session: Arc<SessionState<_, Arc<io::Error>>> =
            SessionState::detached(ForwardChannel::new(forward, false));
        let mut stream = StreamHandle::open(&session, Arc::default()).expect("ready");
        let mut read = |_: &mut Context<'_>, to: &mut BytesMut, _| {
            let mut channel = session.lock();
            let handled = channel.handle_message(last.clone(), now);
            handled.expect("sound");
            to.put_slice(b"too late");
            Poll::Ready(Ok(8))
        };
        let (mut ours, mut theirs) = pair().await;
        let mut copy = Copy::new();
        let upload = poll_fn(|cx| Poll::Ready(copy.poll_upload(cx, &mut stream, &mut read))).await;
        assert!(upload.is_pending(), "what it sent is still to be read");
        let end = poll_fn(|cx| copy.poll(cx, &mut ours.local, &mut stream)).await;
        assert!(matches!(end, CopyEnd::Finished { .. }));
        let mut answer = [0; 6];
        let read = theirs.read_exact(&mut answer).await;
        read.expect("it was delivered");
        assert_eq!(&answer, b"enough");
    }
}
