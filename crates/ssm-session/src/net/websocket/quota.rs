//! A connection that limits how many bytes one poll reads.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads up to a quota, then reports [`Poll::Pending`] until the quota is [renewed](Self::renew).
///
/// tungstenite's `read` returns only whole messages: a peer that sends endless empty fragments keeps it in
/// its loop for as long as the connection has bytes
/// (`WebSocketContext::read` in `src/protocol/mod.rs`, tungstenite 0.30). The quota ends that loop.
#[derive(Debug)]
pub(crate) struct Quota<S> {
    inner: S,
    left: usize,
    used_up: bool,
    written: u64,
}

impl<S> Quota<S> {
    /// Reads nothing before the first [`renew`](Self::renew).
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            left: 0,
            used_up: false,
            written: 0,
        }
    }

    /// Allows `bytes` to be read from now on.
    pub(crate) fn renew(&mut self, bytes: usize) {
        self.left = bytes;
        self.used_up = false;
    }

    /// Whether a read was refused since the quota was renewed. The connection wakes no task for bytes that
    /// it still holds: renew the quota and read again.
    pub(crate) fn is_used_up(&self) -> bool {
        self.used_up
    }

    /// Bytes that the connection took since it was opened.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    #[cfg(test)]
    pub(crate) fn get_ref(&self) -> &S {
        &self.inner
    }

    fn count(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(length)) = &outcome {
            self.written = self.written.saturating_add(*length as u64);
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Quota<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            this.used_up = true;
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.inner).poll_read(cx, buffer);
        this.left = this.left.saturating_sub(buffer.filled().len() - before);
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Quota<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write(cx, data);
        this.count(outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write_vectored(cx, data);
        this.count(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn read(from: &mut Quota<tokio::io::Repeat>) -> Option<usize> {
        let mut bytes = [0; 10];
        poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut bytes);
            Poll::Ready(match Pin::new(&mut *from).poll_read(cx, &mut buffer) {
                Poll::Ready(outcome) => {
                    Some(outcome.map(|()| buffer.filled().len()).expect("endless"))
                }
                Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn an_endless_connection_is_read_up_to_the_quota() {
        let mut endless = Quota::new(tokio::io::repeat(7));
        assert_eq!(read(&mut endless).await, None);
        assert!(endless.is_used_up());
        endless.renew(15);
        assert!(!endless.is_used_up());
        assert_eq!(read(&mut endless).await, Some(10));
        assert_eq!(
            read(&mut endless).await,
            Some(10),
            "a read may go beyond it"
        );
        assert_eq!(read(&mut endless).await, None);
        assert!(endless.is_used_up());
        endless.renew(1);
        let mut byte = [0];
        endless.read_exact(&mut byte).await.expect("endless");
        assert_eq!(byte, [7]);
    }
}
