//! The file of a Unix socket: private from its first moment, and gone at the end.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Removes the file when it is dropped, unless another one has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
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
    clear(path)?;
    // A socket has its final mode only after it is bound, so it is bound where nobody else can
    // look, and moved into place then.
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let private = Private(parent.join(format!(".ssm{:08x}", fastrand::u32(..))));
    DirBuilder::new().mode(0o700).create(&private.0)?;
    let bound = private.0.join("s");
    let listener = UnixListener::bind(&bound)?;
    fs::set_permissions(&bound, Permissions::from_mode(0o600))?;
    let identity = identity(&bound)?;
    fs::rename(&bound, path)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity,
    };
    Ok((listener, file))
}

struct Private(PathBuf);

impl Drop for Private {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes sure that nothing is lost when the path is taken.
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
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Private {
        let path = std::env::temp_dir().join(format!("ssm-relay-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).expect("a temporary directory");
        Private(path)
    }

    #[tokio::test]
    async fn only_this_user_may_connect_and_nothing_is_left_at_the_end() {
        let directory = directory();
        let path = directory.0.join("tunnel");
        let (listener, file) = bind(&path).expect("binds");
        let mode = fs::metadata(&path).expect("is there").mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).expect("connects");
        assert_eq!(
            bind(&path).expect_err("in use").kind(),
            io::ErrorKind::AddrInUse
        );
        drop((listener, file));
        assert_eq!(fs::read_dir(&directory.0).expect("a directory").count(), 0);
    }

    #[tokio::test]
    async fn a_socket_that_a_killed_program_left_is_replaced_and_another_file_never() {
        let directory = directory();
        let path = directory.0.join("tunnel");
        let (listener, file) = bind(&path).expect("binds");
        drop(listener);
        std::mem::forget(file);
        let (_listener, file) = bind(&path).expect("replaces");
        // Whoever took the place in turn keeps it.
        fs::remove_file(&path).expect("is there");
        fs::write(&path, "precious").expect("writes");
        drop(file);
        assert_eq!(fs::read_to_string(&path).expect("is there"), "precious");
        let error = bind(&path).expect_err("another file");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("is there"), "precious");
    }
}
