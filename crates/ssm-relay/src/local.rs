use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BufMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection of a local program.
#[derive(Debug)]
pub(crate) enum LocalStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Socket(tokio::net::UnixStream),
}

impl LocalStream {
    /// Small messages are not held back on it.
    pub(crate) fn set_nodelay(&self) {
        if let Self::Tcp(tcp) = self
            && let Err(error) = tcp.set_nodelay(true)
        {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    }

    /// Has the connection reset when it is dropped. A Unix socket has no such thing.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(tcp) = self
            && let Err(error) = SockRef::from(tcp).set_linger(Some(Duration::ZERO))
        {
            tracing::debug!(%error, "local connection closed instead of reset");
        }
    }
}

impl LocalStream {
    /// Reads what fits into `to` without its being zeroed first; nothing at the end-of-file.
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
