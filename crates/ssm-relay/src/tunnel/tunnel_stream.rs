//! A connection to the destination, in process.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use ssm_session::CallError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;

/// A connection to the destination, in process: no local port.
///
/// Dropping it sends what was written, then ends the connection both ways. `shutdown` ends writing
/// only; since the protocol has no half-close, the destination learns of it once the answer has
/// arrived. A connection that was cut off ends with an error, never with a silent end-of-file.
#[derive(Debug)]
pub struct TunnelStream<A: CallError> {
    connection: Connection<A>,
    unread: Bytes,
    finished: bool,
}

impl<A: CallError> TunnelStream<A> {
    pub(crate) fn new(connection: Connection<A>) -> Self {
        Self {
            connection,
            unread: Bytes::new(),
            finished: false,
        }
    }
}

impl<A: CallError> AsyncRead for TunnelStream<A> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            match ready!(this.connection.stream.poll_read(cx)) {
                Ok(Some(data)) => this.unread = data,
                Ok(None) => return Poll::Ready(Ok(())),
                Err(error) => {
                    this.connection.failed(&error);
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
        let take = this.unread.len().min(buffer.remaining());
        buffer.put_slice(&this.unread[..take]);
        this.unread.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl<A: CallError> AsyncWrite for TunnelStream<A> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let outcome = ready!(this.connection.stream.poll_writable(cx)).and_then(|room| {
            let take = room.min(data.len());
            this.connection
                .stream
                .write(Bytes::copy_from_slice(&data[..take]))?;
            Ok(take)
        });
        Poll::Ready(outcome.map_err(|error| {
            this.connection.failed(&error);
            error.into()
        }))
    }

    /// Written data is already on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.finished {
            this.finished = true;
            this.connection.stream.finish();
        }
        Poll::Ready(Ok(()))
    }
}
