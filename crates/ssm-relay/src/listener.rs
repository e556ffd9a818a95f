//! Where local programs connect to the tunnel.

#[cfg(unix)]
mod socket_file;
mod user;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::event::Event;
use crate::local::LocalStream;
use crate::pump;
use crate::supervisor::Supervisor;
use user::Owner;

/// Pause after the system had no resources for a connection: it must not spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Accepts local connections: on a TCP address, or on a Unix socket.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    same_user_only: bool,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Socket(tokio::net::UnixListener, socket_file::SocketFile),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self {
            kind: Kind::Tcp(listener),
            same_user_only: false,
        }
    }
}

impl Listener {
    /// Listens on a TCP address. **Any address but loopback lets other machines in.**
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        Ok(TcpListener::bind(address).await?.into())
    }

    /// Listens on a Unix socket that only this user may connect to (mode 0600). A socket that a
    /// program left behind is replaced; the file is removed when the listener ends. Until then a
    /// lock on a file beside it, `NAME.lock`, keeps other programs from taking the path. The path may
    /// be as long as the system takes: 107 bytes on Linux, 103 on macOS.
    ///
    /// Unlike a TCP connection, one over a Unix socket cannot be reset: when it is cut off, its
    /// peer reads an end-of-file, and only the events tell the difference.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] when a program listens there, even one that accepts nothing;
    /// [`io::ErrorKind::InvalidInput`] when the path is too long, [`io::ErrorKind::AlreadyExists`]
    /// when it is another kind of file, [`io::ErrorKind::Unsupported`] on Windows, and what the
    /// system says.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    #[cfg(unix)]
    pub fn socket(path: impl AsRef<Path>) -> io::Result<Self> {
        let (listener, file) = socket_file::bind(path.as_ref())?;
        Ok(Self {
            kind: Kind::Socket(listener, file),
            same_user_only: false,
        })
    }

    /// Unix sockets are not supported on this system.
    ///
    /// # Errors
    /// Always [`io::ErrorKind::Unsupported`].
    #[cfg(not(unix))]
    pub fn socket(_: impl AsRef<Path>) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "there are no Unix sockets on this system: use a local port",
        ))
    }

    /// Admits only connections of this process's user; others are reset. Linux shows the owner of
    /// a TCP connection in `/proc/net/tcp`, macOS through `lsof`; connections of other machines
    /// never pass.
    ///
    /// A connection whose program has closed it before it was looked up has no owner any more. It is
    /// not admitted either, whatever it sent, and reported as [`Event::ConnectionUnidentified`].
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where the system does not tell.
    pub fn same_user_only(self) -> io::Result<Self> {
        user::supported()?;
        Ok(Self {
            same_user_only: true,
            ..self
        })
    }

    /// The TCP address, if it is one.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().map(Some),
            #[cfg(unix)]
            Kind::Socket(..) => Ok(None),
        }
    }

    /// The socket's file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Tcp(_) => None,
            #[cfg(unix)]
            Kind::Socket(_, file) => Some(file.path()),
        }
    }

    pub(crate) fn event(&self) -> Option<Event> {
        match self.path() {
            Some(path) => Some(Event::ListeningOnSocket {
                path: PathBuf::from(path),
            }),
            None => {
                let address = self.local_addr().ok()??;
                Some(Event::Listening { address })
            }
        }
    }

    async fn accept(&self) -> io::Result<(LocalStream, Option<SocketAddr>)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (tcp, peer) = listener.accept().await?;
                Ok((LocalStream::Tcp(tcp), Some(peer)))
            }
            #[cfg(unix)]
            Kind::Socket(listener, _) => {
                let (socket, _) = listener.accept().await?;
                Ok((LocalStream::Socket(socket), None))
            }
        }
    }
}

/// Carries every local connection, until aborted.
pub(crate) async fn accept(listener: Listener, tunnel: Arc<Supervisor>) {
    let places = Arc::new(Semaphore::new(tunnel.parts().limits.max_connections.max(1)));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // Without a place the system's own backlog keeps them.
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            (place, accepted) = next => match accepted {
                Ok((stream, peer)) => {
                    let tunnel = tunnel.clone();
                    let same_user_only = listener.same_user_only;
                    connections.spawn(async move {
                        carry(stream, peer, same_user_only, tunnel).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "local connection not accepted");
                    if !is_about_the_peer(&error) {
                        tokio::time::sleep(EXHAUSTED_PAUSE).await;
                    }
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The connection was gone before it was accepted.
fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn carry(
    stream: LocalStream,
    peer: Option<SocketAddr>,
    same_user_only: bool,
    tunnel: Arc<Supervisor>,
) {
    let send = |event: Event| tunnel.parts().events.send(event);
    let owner = match same_user_only {
        true => user::owner(&stream).await,
        false => Owner::Us,
    };
    // A reset is all a TCP client can be told; whoever stops halfway must not look like an end.
    let local = pump::ResetOnDrop::new(stream);
    match owner {
        Owner::Us => {}
        Owner::Other => {
            return send(Event::ConnectionFailed {
                peer,
                reason: "it is not of this user, and only this user's are admitted".to_owned(),
            });
        }
        Owner::Unknown(why) => {
            return send(Event::ConnectionUnidentified {
                peer,
                reason: format!("its owner could not be determined: {why}"),
            });
        }
    }
    match tunnel.connect(peer).await {
        Ok(connection) => {
            let span = connection.span();
            pump::run(local, connection).instrument(span).await;
        }
        Err(error) => send(Event::ConnectionFailed {
            peer,
            reason: error.to_string(),
        }),
    }
}
