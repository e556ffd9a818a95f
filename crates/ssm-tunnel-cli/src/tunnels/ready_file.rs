//! A file that exists for as long as the tunnels are ready.

use std::fs::{self, File, FileType};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::forward::LocalSide;

/// Holds the local addresses, one per line. It appears complete, so it may be read as soon as it
/// exists. Only this user can read it, and links planted in its place are not followed. A file from
/// an earlier run is removed first; this one is removed on drop.
#[derive(Debug)]
pub struct ReadyFile {
    path: PathBuf,
    written: Option<Written>,
}

/// Kept open, so that no other file can reuse its inode number.
#[cfg(unix)]
#[derive(Debug)]
struct Written(File);

/// The file's contents: an open file could not be removed.
#[cfg(not(unix))]
#[derive(Debug)]
struct Written(String);

impl ReadyFile {
    /// Removes an existing file, which would falsely report readiness.
    ///
    /// # Errors
    /// When it cannot be removed or is not a regular file, or its directory does not exist.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("the ready file {}", path.display());
        let folder = folder(path);
        if !folder.is_dir() {
            bail!("{}: there is no folder {}", named(), folder.display());
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !removable(path, found.file_type()) => {
                bail!(
                    "{} is something else than a file: choose another path",
                    named()
                )
            }
            Ok(_) => {
                fs::remove_file(path).with_context(|| format!("cannot replace {}", named()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(named),
        }
        Ok(Self {
            path: path.to_owned(),
            written: None,
        })
    }

    /// Writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, locals: &[(LocalSide, SocketAddr)]) -> anyhow::Result<()> {
        let lines: String = locals
            .iter()
            .map(|(local, address)| match local {
                LocalSide::Address(_) => format!("{address}\n"),
                LocalSide::Socket(path) => format!("{}\n", path.display()),
            })
            .collect();
        let file = self
            .put(&lines)
            .with_context(|| format!("cannot write the ready file {}", self.path.display()))?;
        self.written = Some(Written::new(file, lines));
        Ok(())
    }

    fn put(&self, lines: &str) -> io::Result<File> {
        // A new file with an unpredictable name, mode 0600 on Unix.
        let mut part = tempfile::Builder::new()
            .prefix(".ssm-tunnel-")
            .tempfile_in(folder(&self.path))?;
        part.write_all(lines.as_bytes())?;
        // A link is replaced, not followed.
        Ok(part.persist(&self.path)?)
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // Another run may have replaced it.
        if let Some(written) = &self.written
            && written.is_at(&self.path)
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
impl Written {
    fn new(file: File, _: String) -> Self {
        Self(file)
    }

    fn is_at(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let both = fs::symlink_metadata(path).ok().zip(self.0.metadata().ok());
        both.is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
    }
}

#[cfg(not(unix))]
impl Written {
    fn new(_: File, lines: String) -> Self {
        Self(lines)
    }

    fn is_at(&self, path: &Path) -> bool {
        fs::read_to_string(path).is_ok_and(|found| found == self.0)
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Not `/dev/null`, nor a link to it: root would be able to remove that too.
fn removable(path: &Path, kind: FileType) -> bool {
    if kind.is_symlink() {
        return fs::metadata(path).map_or(true, |behind| behind.is_file());
    }
    !kind.is_dir() && !is_device(kind)
}

#[cfg(unix)]
fn is_device(kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    kind.is_block_device() || kind.is_char_device()
}

#[cfg(not(unix))]
fn is_device(_: FileType) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locals() -> Vec<(LocalSide, SocketAddr)> {
        let address = SocketAddr::from(([127, 0, 0, 1], 7));
        vec![(LocalSide::Address(address), address)]
    }

    const LINES: &str = "127.0.0.1:7\n";

    fn place() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("ready");
        (place, path)
    }

    #[test]
    fn it_is_there_from_ready_to_the_end() {
        let (place, path) = place();
        fs::write(&path, "of an earlier run").expect("written");
        let mut ready = ReadyFile::new(&path).expect("replaced");
        assert!(!path.exists(), "the earlier one says ready");
        ready.write(&locals()).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), LINES);
        drop(ready);
        let left = fs::read_dir(place.path()).expect("a folder").count();
        assert_eq!(left, 0);
    }

    #[test]
    fn one_run_does_not_remove_the_file_of_the_next() {
        let (_place, path) = place();
        let mut first = ReadyFile::new(&path).expect("new");
        first.write(&locals()).expect("written");
        let mut second = ReadyFile::new(&path).expect("new");
        let mut other = locals();
        other.extend(locals());
        second.write(&other).expect("written");
        drop(first);
        assert_eq!(fs::read_to_string(&path).expect("there"), LINES.repeat(2));
    }

    #[test]
    fn a_place_that_can_hold_no_file_is_refused_first() {
        let (place, _) = place();
        let error = ReadyFile::new(place.path())
            .expect_err("a folder")
            .to_string();
        assert!(error.contains("is something else than a file"), "{error}");
        let error = ReadyFile::new(&place.path().join("no").join("ready"));
        let error = error.expect_err("no folder").to_string();
        assert!(error.contains("there is no folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_followed_and_nobody_else_reads_it() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let (place, path) = place();
        let victim = place.path().join("victim");
        fs::write(&victim, "untouched").expect("written");
        let plant = |kind: usize| match kind {
            0 => symlink(&victim, &path).expect("a link"),
            1 => symlink(place.path().join("nowhere"), &path).expect("a link"),
            2 => fs::hard_link(&victim, &path).expect("a link"),
            3 => {
                let made = std::process::Command::new("mkfifo").arg(&path).status();
                assert!(made.expect("mkfifo runs").success());
            }
            _ => drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket")),
        };
        for kind in 0..5 {
            for before in [true, false] {
                if before {
                    plant(kind);
                }
                let mut ready = ReadyFile::new(&path).expect("replaced");
                if !before {
                    plant(kind); // in the meantime
                }
                ready.write(&locals()).expect("written");
                let found = fs::symlink_metadata(&path).expect("there");
                assert!(found.is_file(), "{kind}");
                assert_eq!(found.permissions().mode() & 0o777, 0o600);
                assert_eq!(fs::read_to_string(&path).expect("there"), LINES);
                drop(ready);
                assert!(fs::symlink_metadata(&path).is_err(), "{kind}: it stays");
                assert_eq!(fs::read_to_string(&victim).expect("there"), "untouched");
            }
        }
        // A file that replaced it stays.
        let mut ready = ReadyFile::new(&path).expect("new");
        ready.write(&locals()).expect("written");
        fs::remove_file(&path).expect("ours");
        symlink(&victim, &path).expect("a link");
        drop(ready);
        assert!(fs::symlink_metadata(&path).expect("there").is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_no_ready_file() {
        let (_place, path) = place();
        std::os::unix::fs::symlink("/dev/null", &path).expect("a link");
        for device in [Path::new("/dev/null"), &path] {
            let error = ReadyFile::new(device).expect_err("a device").to_string();
            assert!(error.contains("is something else than a file"), "{error}");
        }
    }
}
