//! A connection of a local program.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BufMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// How long to go on reading from a local peer that still sends after the end, so that a reset does not
/// destroy what it has not read yet.
const LINGER: Duration = Duration::from_secs(5);

/// A connection of a local program.
#[derive(Debug)]
pub(crate) enum LocalStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Socket(tokio::net::UnixStream),
}

impl LocalStream {
    /// Sends small messages at once (TCP_NODELAY).
    pub(crate) fn set_nodelay(&self) {
        if let Self::Tcp(tcp) = self
            && let Err(error) = tcp.set_nodelay(true)
        {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    }

    /// Resets the connection when it is dropped. A Unix socket cannot be reset.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(tcp) = self
            && let Err(error) = SockRef::from(tcp).set_linger(Some(Duration::ZERO))
        {
            tracing::debug!(%error, "local connection closed instead of reset");
        }
    }
}

impl LocalStream {
    /// Reads what fits into `to`, which need not be zeroed; nothing at the end-of-file.
    pub(crate) fn poll_read_buf(
        &self,
        cx: &mut Context<'_>,
        to: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        loop {
            let read = match self {
                Self::Tcp(tcp) => {
                    ready!(tcp.poll_read_ready(cx))?;
                    tcp.try_read_buf(to)
                }
                #[cfg(unix)]
                Self::Socket(socket) => {
                    ready!(socket.poll_read_ready(cx))?;
                    socket.try_read_buf(to)
                }
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

macro_rules! each {
    ($self:expr, $io:ident => $call:expr) => {
        match $self.get_mut() {
            LocalStream::Tcp(tcp) => {
                let $io = Pin::new(tcp);
                $call
            }
            #[cfg(unix)]
            LocalStream::Socket(socket) => {
                let $io = Pin::new(socket);
                $call
            }
        }
    };
}

impl AsyncRead for LocalStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_read(cx, buffer))
    }
}

impl AsyncWrite for LocalStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => io.poll_write(cx, data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => io.poll_write_vectored(cx, data))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_shutdown(cx))
    }
}

/// A local connection that is reset when it is dropped, unless it ended in order.
pub(crate) struct ResetOnDrop {
    pub(super) local: LocalStream,
    orderly: bool,
}

impl ResetOnDrop {
    /// Takes a local connection.
    pub(crate) fn new(local: LocalStream) -> Self {
        local.set_nodelay();
        Self {
            local,
            orderly: false,
        }
    }

    /// Ends the connection in order, so that its peer reads everything: a socket closed with unread
    /// bytes is reset, and the reset overtakes what was written.
    pub(crate) async fn finish(mut self, local_finished: bool) {
        self.orderly = true;
        if self.local.shutdown().await.is_err() || local_finished {
            return;
        }
        let mut nowhere = tokio::io::sink();
        let discard = tokio::io::copy(&mut self.local, &mut nowhere);
        let _ = tokio::time::timeout(LINGER, discard).await;
    }
}

impl Drop for ResetOnDrop {
    fn drop(&mut self) {
        if !self.orderly {
            self.local.reset_on_close();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    pub(in crate::local) async fn pair() -> (ResetOnDrop, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(address));
        (
            ResetOnDrop::new(LocalStream::Tcp(ours.expect("accepted").0)),
            theirs.expect("connected"),
        )
    }

    #[tokio::test]
    async fn local_connections_send_small_messages_at_once() {
        let (ours, _theirs) = pair().await;
        match &ours.local {
            LocalStream::Tcp(tcp) => assert!(tcp.nodelay().expect("a TCP socket")),
            #[cfg(unix)]
            LocalStream::Socket(_) => panic!("it is TCP"),
        }
    }

    #[tokio::test]
    async fn a_local_connection_dropped_halfway_is_reset() {
        let (ours, mut theirs) = pair().await;
        drop(ours);
        let error = theirs
            .read(&mut [0])
            .await
            .expect_err("a reset, not an end-of-file");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn an_orderly_end_is_an_end_of_file() {
        let (ours, mut theirs) = pair().await;
        ours.finish(true).await;
        assert_eq!(theirs.read(&mut [0]).await.expect("an end-of-file"), 0);
    }
}
