//! Where local programs connect: a TCP port or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

use super::local_stream::LocalStream;
#[cfg(unix)]
use super::socket_file;
use super::user;
use crate::event::Event;

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
    /// The system's error.
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
    /// peer reads an end-of-file, and only the events show the difference.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] when a program listens there, even one that accepts nothing;
    /// [`io::ErrorKind::InvalidInput`] when the path is too long, [`io::ErrorKind::AlreadyExists`]
    /// when it is another kind of file, [`io::ErrorKind::Unsupported`] on Windows, and the system's
    /// other errors.
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
    /// a TCP connection in `/proc/net/tcp`, macOS through `lsof`; connections from other machines are
    /// never admitted.
    ///
    /// A connection that its program closed before it was looked up has no owner any more. It is not
    /// admitted either, whatever it sent, and reported as [`Event::ConnectionUnidentified`].
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where the system does not show owners.
    pub fn same_user_only(self) -> io::Result<Self> {
        user::supported()?;
        Ok(Self {
            same_user_only: true,
            ..self
        })
    }

    /// The TCP address; `None` for a Unix socket.
    ///
    /// # Errors
    /// The system's error.
    pub fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().map(Some),
            #[cfg(unix)]
            Kind::Socket(..) => Ok(None),
        }
    }

    /// The Unix socket's file; `None` for a TCP port.
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

    /// Whether only this user's connections are admitted.
    pub(crate) fn is_same_user_only(&self) -> bool {
        self.same_user_only
    }

    /// The next connection, and the address it comes from.
    pub(crate) async fn accept(&self) -> io::Result<(LocalStream, Option<SocketAddr>)> {
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
