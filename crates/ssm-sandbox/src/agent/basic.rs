//! The agent's port in basic mode: one TCP connection, its bytes as they are
//! (`agent/session/plugins/port/port_basic.go` @1c217c89).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use super::channel::Taken;

/// Bytes taken from the client before the destination took them: about a socket's buffer.
const MOST_UNWRITTEN: usize = 256 << 10;

pub(crate) struct Basic {
    destination: SocketAddr,
    dial_delay: Duration,
    /// The SSH document: the session ends with the connection.
    ends_with_connection: bool,
    state: Connection,
    writing: std::collections::VecDeque<Bytes>,
    writing_bytes: usize,
}

enum Connection {
    /// At the start, and after the first byte that follows a disconnection.
    Dialling {
        dial: Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>,
        first: bool,
    },
    Open(TcpStream),
    /// Disconnected once what the client sent before is written.
    Closing(TcpStream),
    /// Dialled again at the next byte.
    Disconnected,
}

/// What the port did.
pub(crate) enum Progress {
    /// Bytes for the client.
    Read(usize),
    /// The session is over, with a text for the user.
    Ended(String),
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Basic")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

impl Basic {
    pub(crate) fn start(
        destination: SocketAddr,
        dial_delay: Duration,
        ends_with_connection: bool,
    ) -> Self {
        Self {
            destination,
            dial_delay,
            ends_with_connection,
            state: Connection::Dialling {
                dial: dial(destination, dial_delay),
                first: true,
            },
            writing: Default::default(),
            writing_bytes: 0,
        }
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.writing_bytes >= MOST_UNWRITTEN
    }

    pub(crate) fn output(&mut self, payload: Bytes) -> Taken {
        match &self.state {
            // Rejected: the client sends it again.
            Connection::Dialling { first: true, .. } | Connection::Closing(_) => {
                return Taken::NotReady;
            }
            Connection::Disconnected => {
                let dial = dial(self.destination, self.dial_delay);
                self.state = Connection::Dialling { dial, first: false };
            }
            Connection::Dialling { .. } | Connection::Open(_) => {}
        }
        self.writing_bytes += payload.len();
        self.writing.push_back(payload);
        Taken::Yes
    }

    /// DisconnectToPort.
    pub(crate) fn disconnect(&mut self) -> Taken {
        match std::mem::replace(&mut self.state, Connection::Disconnected) {
            dialling @ Connection::Dialling { .. } => {
                self.state = dialling;
                return Taken::NotReady;
            }
            Connection::Open(tcp) if !self.writing.is_empty() => {
                self.state = Connection::Closing(tcp);
            }
            Connection::Closing(tcp) => self.state = Connection::Closing(tcp),
            Connection::Open(_) | Connection::Disconnected => {}
        }
        Taken::Yes
    }

    /// Connects, writes what is queued, and, if `read` is wanted, reads.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, read: Option<&mut [u8]>) -> Poll<Progress> {
        if let Connection::Dialling { dial, .. } = &mut self.state {
            match dial.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(tcp)) => {
                    let _ = tcp.set_nodelay(true);
                    self.state = Connection::Open(tcp);
                }
                Poll::Ready(Err(error)) => {
                    let text = format!("Unable to connect to specified port: {error}");
                    return Poll::Ready(Progress::Ended(text));
                }
            }
        }
        let (tcp, closing) = match &mut self.state {
            Connection::Open(tcp) => (tcp, false),
            Connection::Closing(tcp) => (tcp, true),
            _ => return Poll::Pending,
        };
        let mut failed = false;
        while let Some(first) = self.writing.front_mut() {
            match Pin::new(&mut *tcp).poll_write(cx, first) {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) if count > 0 => {
                    first.advance(count);
                    self.writing_bytes -= count;
                    if first.is_empty() {
                        self.writing.pop_front();
                    }
                }
                Poll::Ready(_) => {
                    failed = true;
                    break;
                }
            }
        }
        if closing {
            if failed || self.writing.is_empty() {
                self.state = Connection::Disconnected;
                self.writing.clear();
                self.writing_bytes = 0;
            }
            return Poll::Pending;
        }
        let Some(buffer) = read.filter(|_| !failed) else {
            return if failed { self.closed() } else { Poll::Pending };
        };
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(tcp).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                Poll::Ready(Progress::Read(buffer.filled().len()))
            }
            Poll::Ready(_) => self.closed(),
        }
    }

    /// The destination closed. The agent tells nobody, unless the session ends with it.
    fn closed(&mut self) -> Poll<Progress> {
        self.state = Connection::Disconnected;
        self.writing.clear();
        self.writing_bytes = 0;
        if self.ends_with_connection {
            return Poll::Ready(Progress::Ended(String::new()));
        }
        Poll::Pending
    }
}

fn dial(
    destination: SocketAddr,
    delay: Duration,
) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> {
    Box::pin(async move {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        TcpStream::connect(destination).await
    })
}
