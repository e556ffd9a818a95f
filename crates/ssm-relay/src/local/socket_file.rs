//! The file of a Unix socket: owned by one program at a time, private, and removed at the end.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

/// Backlog of connections that wait to be accepted: the system's maximum.
const BACKLOG: i32 = 1024;
/// Attempts to take the lock, whose file its owner may remove between our opening and locking it.
const ATTEMPTS: usize = 100;

/// Removes the file when it is dropped, unless another file has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    _lock: PathLock,
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Binds a socket with mode 0600.
pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let lock = PathLock::take(path)?;
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(path)?,
        _lock: lock,
    };
    // A socket gets its mode only after it is bound. It refuses connections until it listens, so no
    // other user can connect before.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = UnixListener::from_std(StdListener::from(socket))?;
    Ok((listener, file))
}

/// Held by the program that owns a socket's path, from before it checks whether the path is free. The
/// system releases it when the program ends, however that happens.
///
/// It is the lock of a file beside the socket, `NAME.lock`, which is removed with it.
#[derive(Debug)]
struct PathLock {
    path: PathBuf,
    /// `None` where the file system has no locks.
    file: Option<File>,
}

impl PathLock {
    fn take(socket: &Path) -> io::Result<Self> {
        let mut path = OsString::from(socket);
        path.push(".lock");
        let path = PathBuf::from(path);
        for _ in 0..ATTEMPTS {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::debug!(%error, path = %path.display(), "the file system has no locks");
                    return Ok(Self { path, file: None });
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let metadata = file.metadata()?;
            if identity(&path).is_ok_and(|found| found == (metadata.dev(), metadata.ino())) {
                let file = Some(file);
                return Ok(Self { path, file });
            }
            // It was removed in the meantime, and locks nothing.
        }
        Err(io::ErrorKind::AddrInUse.into())
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Before the lock is released: afterwards the file may be another program's.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Checks that taking the path loses nothing, and removes the socket of a killed program.
fn clear(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of that name, and it is no socket",
        ));
    }
    if is_listened_on(path)? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a program that takes no lock listens there. It may be busy, or stuck: its answer is not
/// awaited. macOS reports a full backlog with the same error as a listener that is gone.
fn is_listened_on(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            // Its backlog is full (EAGAIN on Linux).
            io::ErrorKind::WouldBlock => Ok(true),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use tempfile::TempDir;

    use super::*;

    fn directory() -> TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    fn in_use(path: &Path) -> bool {
        bind(path).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    }

    #[tokio::test]
    async fn socket_is_for_this_user_and_removed_at_the_end() {
        let directory = directory();
        let path = directory.path().join("tunnel");
        let (listener, file) = bind(&path).expect("binds");
        let mode = fs::metadata(&path).expect("is there").mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).expect("connects");
        assert!(in_use(&path));
        drop((listener, file));
        assert_eq!(
            fs::read_dir(directory.path()).expect("a directory").count(),
            0
        );
    }

    #[tokio::test]
    async fn stale_socket_is_replaced_but_no_other_file() {
        let directory = directory();
        let path = directory.path().join("tunnel");
        drop(StdListener::bind(&path).expect("binds"));
        fs::write(directory.path().join("tunnel.lock"), "").expect("writes");
        let (_listener, file) = bind(&path).expect("replaces");
        // The file that replaced it stays.
        fs::remove_file(&path).expect("is there");
        fs::write(&path, "precious").expect("writes");
        drop(file);
        assert_eq!(fs::read_to_string(&path).expect("is there"), "precious");
        let error = bind(&path).expect_err("another file");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("is there"), "precious");
    }

    #[tokio::test]
    async fn idle_listener_counts_as_in_use() {
        let directory = directory();
        let path = directory.path().join("tunnel");
        let stuck = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        let address = SockAddr::unix(&path).expect("a short path");
        stuck.bind(&address).expect("binds");
        stuck.listen(1).expect("listens");
        assert!(in_use(&path), "it has room");
        if cfg!(target_os = "macos") {
            return;
        }
        let full = || {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
            client.set_nonblocking(true).expect("a mode");
            client.connect(&address).map(|()| client)
        };
        let waiting: Vec<_> = std::iter::from_fn(|| full().ok()).take(1000).collect();
        assert!(waiting.len() < 1000, "the backlog is full");
        assert!(in_use(&path), "it has no room");
    }

    #[tokio::test]
    async fn socket_path_has_one_owner_among_many_racers() {
        let directory = directory();
        let path = directory.path().join("tunnel");
        for _ in 0..20 {
            // Left by a killed program: here two could take the path from each other.
            drop(StdListener::bind(&path).expect("binds"));
            let attempts: Vec<_> = (0..8)
                .map(|_| {
                    let path = path.clone();
                    tokio::task::spawn_blocking(move || bind(&path))
                })
                .collect();
            let mut owners = Vec::new();
            for attempt in attempts {
                match attempt.await.expect("no panic") {
                    Ok(owner) => owners.push(owner),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
                }
            }
            assert_eq!(owners.len(), 1);
            UnixStream::connect(&path).expect("the owner's");
            drop(owners);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_path_may_be_as_long_as_the_system_takes() {
        let directory = directory();
        // With the NUL that ends it: unix(7) on Linux, unix(4) on macOS.
        let limit = if cfg!(target_os = "linux") { 108 } else { 104 };
        let room = limit - 1 - directory.path().as_os_str().len() - 1;
        for (length, fits) in [(room, true), (room + 1, false)] {
            let path = directory.path().join("s".repeat(length));
            match bind(&path) {
                Ok(_bound) => {
                    assert!(fits);
                    UnixStream::connect(&path).expect("connects");
                }
                Err(error) => {
                    assert!(!fits, "{error}");
                    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                }
            }
            let left = fs::read_dir(directory.path()).expect("a directory").count();
            assert_eq!(left, 0);
        }
    }
}
