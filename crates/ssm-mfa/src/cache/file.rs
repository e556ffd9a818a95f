//! Sessions in files of this user.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::store::{LockAttempt, SessionStore, StoreError};

/// No session is larger. STS sets no limit on a token; 4 KiB is already unusual.
const MAX_BODY: u64 = 64 << 10;

/// Keeps sessions in files that only this user can read: one JSON file each, with a lock beside it.
///
/// On Unix the directory has mode 0700 and the files 0600; links are not followed, and files of
/// another owner or with wider permissions are replaced without being read. On Windows the files inherit
/// the permissions of their directory: under `%LOCALAPPDATA%` those are the user, SYSTEM and the
/// administrators.
#[derive(Debug, Clone)]
pub struct FileStore {
    directory: PathBuf,
}

impl FileStore {
    /// A store in this user's cache directory: `$XDG_CACHE_HOME/ssm-tunnel/mfa` or
    /// `~/.cache/ssm-tunnel/mfa`, on macOS `~/Library/Caches/ssm-tunnel/mfa`, on Windows
    /// `%LOCALAPPDATA%\ssm-tunnel\mfa`. `None` for a user without a home directory.
    pub fn in_user_cache() -> Option<Self> {
        Some(Self::at(user_cache()?.join("ssm-tunnel").join("mfa")))
    }

    /// A store in this directory, which is created when first needed.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The directory of the files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn body(&self, key: &str) -> PathBuf {
        self.directory.join(format!("{key}.json"))
    }

    /// Puts a file into a directory of another program: a missing one is created, but the permissions
    /// of an existing one are left alone.
    #[cfg(feature = "cli-cache")]
    pub(crate) fn put(&self, name: &str, body: &[u8]) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::new(&self.directory, error);
        system::make_directory(&self.directory).map_err(failed)?;
        self.replace(&self.directory.join(name), body)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::new(&self.directory, error);
        system::make_directory(&self.directory).map_err(failed)?;
        system::own_directory(&self.directory)
    }

    fn lock(&self, name: &str) -> Result<LockAttempt, StoreError> {
        self.prepare()?;
        let path = self.directory.join(format!("{name}.lock"));
        let failed = |error: io::Error| StoreError::new(&path, error);
        let file = system::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        // Beside the lock, because Windows does not let others read a locked file.
        let pid = self.directory.join(format!("{name}.pid"));
        match file.try_lock() {
            Ok(()) => {
                if let Err(error) = self.replace(&pid, std::process::id().to_string().as_bytes()) {
                    tracing::debug!(%error, "the holder of the lock will not be known");
                }
                Ok(LockAttempt::Taken(Box::new(Held { pid, _file: file })))
            }
            Err(TryLockError::WouldBlock) => Ok(LockAttempt::Busy {
                pid: fs::read_to_string(&pid)
                    .ok()
                    .and_then(|pid| pid.trim().parse().ok()),
            }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Replaces a file whole or not at all, even if the power fails.
    fn replace(&self, path: &Path, body: &[u8]) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::new(path, error);
        // Created with mode 0600 on Unix.
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.directory)
            .map_err(failed)?;
        file.write_all(body)
            .and_then(|()| file.as_file().sync_all())
            .map_err(failed)?;
        let (_, new) = file.keep().map_err(|error| failed(error.error))?;
        system::rename(&new, path).map_err(|error| {
            let _ = fs::remove_file(&new);
            failed(error)
        })
    }
}

impl SessionStore for FileStore {
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        read_private(&self.body(key))
    }

    fn save(&self, key: &str, body: &[u8]) -> Result<(), StoreError> {
        self.prepare()?;
        self.replace(&self.body(key), body)
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        let path = self.body(key);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::new(path, error))
            }
            _ => Ok(()),
        }
    }

    fn try_lock(&self, name: &str) -> LockAttempt {
        self.lock(name)
            .unwrap_or_else(|error| LockAttempt::Unsupported {
                reason: error.to_string(),
            })
    }
}

/// Reads a file that no other user can have written or read; `None` if it does not exist.
pub(crate) fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let failed = |error: io::Error| StoreError::new(path, error);
    let file = match system::options().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() || found.len() > MAX_BODY {
        return Err(StoreError::new(path, "not a session's file"));
    }
    if let Some(problem) = system::exposed(&found) {
        return Err(StoreError::new(path, problem));
    }
    let size = usize::try_from(found.len()).unwrap_or_default() + 1;
    let mut body = Zeroizing::new(Vec::with_capacity(size));
    file.take(MAX_BODY).read_to_end(&mut body).map_err(failed)?;
    Ok(Some(body))
}

/// Removes the file with the process id before the lock is released.
struct Held {
    pid: PathBuf,
    _file: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.pid);
    }
}

#[cfg(not(any(windows, target_os = "macos")))]
fn user_cache() -> Option<PathBuf> {
    // XDG Base Directory Specification: a relative path must be ignored.
    std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))
}

#[cfg(target_os = "macos")]
fn user_cache() -> Option<PathBuf> {
    Some(std::env::home_dir()?.join("Library").join("Caches"))
}

#[cfg(windows)]
fn user_cache() -> Option<PathBuf> {
    std::env::var_os("LOCALAPPDATA")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join("AppData").join("Local")))
}

#[cfg(unix)]
mod system {
    use std::fs::{self, DirBuilder, Metadata, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    };
    use std::path::Path;

    use crate::cache::store::StoreError;

    /// Follows no link; creates files for this user alone.
    pub(super) fn options() -> OpenOptions {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let mut options = OpenOptions::new();
        options
            .mode(0o600)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
        options
    }

    pub(super) fn make_directory(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// Makes sure that the directory is this user's, and closed to others.
    pub(super) fn own_directory(path: &Path) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::new(path, error);
        let found = fs::symlink_metadata(path).map_err(failed)?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(StoreError::new(path, "not a directory of this user"));
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(())
    }

    pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    pub(super) fn exposed(found: &Metadata) -> Option<&'static str> {
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Some("it belongs to another user");
        }
        (found.mode() & 0o077 != 0).then_some("others may read or write it")
    }
}

/// The directory's permissions are inherited: see [`FileStore`](super::FileStore).
#[cfg(windows)]
mod system {
    use std::fs::{self, Metadata, OpenOptions};
    use std::io;
    use std::os::windows::fs::OpenOptionsExt as _;
    use std::path::Path;
    use std::thread;
    use std::time::Duration;

    use crate::cache::store::StoreError;

    /// ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION (winerror.h): errors of a file that another
    /// program has open.
    const IN_USE: [i32; 2] = [5, 32];
    /// Interval and number of attempts on a file in use.
    const PAUSE: Duration = Duration::from_millis(20);
    const TRIES: u32 = 25;

    /// Opens a link itself instead of its target: FILE_FLAG_OPEN_REPARSE_POINT (CreateFileW).
    const OPEN_LINK_ITSELF: u32 = 0x0020_0000;

    pub(super) fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.custom_flags(OPEN_LINK_ITSELF);
        options
    }

    pub(super) fn make_directory(path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    pub(super) fn own_directory(_: &Path) -> Result<(), StoreError> {
        Ok(())
    }

    /// Unlike MoveFileEx, `std` replaces a file that others have open, if they share its deletion, as
    /// this program does. Python and some virus scanners do not, but close the file soon.
    pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
        unless_in_use(|| fs::rename(from, to))
    }

    fn unless_in_use(mut act: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        let in_use = |error: &io::Error| error.raw_os_error().is_some_and(|e| IN_USE.contains(&e));
        for _ in 1..TRIES {
            match act() {
                Err(error) if in_use(&error) => thread::sleep(PAUSE),
                outcome => return outcome,
            }
        }
        act()
    }

    pub(super) fn exposed(_: &Metadata) -> Option<&'static str> {
        None
    }

    #[test]
    fn file_in_use_is_retried_a_limited_number_of_times() {
        for code in IN_USE {
            let mut left = 2;
            let ended = unless_in_use(|| match left {
                0 => Ok(()),
                _ => {
                    left -= 1;
                    Err(io::Error::from_raw_os_error(code))
                }
            });
            assert!(ended.is_ok() && left == 0, "{ended:?}");
        }
        for (code, expected) in [(32, TRIES), (2, 1)] {
            let mut tries = 0;
            let ended = unless_in_use(|| {
                tries += 1;
                Err(io::Error::from_raw_os_error(code))
            });
            assert_eq!(ended.map_err(|error| error.raw_os_error()), Err(Some(code)));
            assert_eq!(tries, expected);
        }
    }
}

#[cfg(test)]
mod tests;
