//! `plugin install`: this program under the name by which the AWS CLI starts its plugin.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::session::say;

/// Its file name.
const NAME: &str = if cfg!(windows) {
    "session-manager-plugin.exe"
} else {
    "session-manager-plugin"
};

/// Puts it into `directory`, or beside this program, and says which one the AWS CLI finds.
///
/// # Errors
/// When another program has that name there, or the directory cannot be written.
pub fn install(directory: Option<&Path>) -> anyhow::Result<()> {
    let program = env::current_exe().context("this program's own path is not known")?;
    let beside = program.parent().unwrap_or(Path::new("."));
    let directory = directory.unwrap_or(beside);
    let path = put(&program, directory)?;
    say(&format!("{} is ssm-tunnel now.", path.display()));
    let search = env::var_os("PATH").unwrap_or_default();
    match first_in(&search) {
        Some(first) if is_same(&first, &path) => say("The AWS CLI finds it."),
        Some(first) => say(&format!(
            "The AWS CLI still finds {} first: put {} before it in PATH.",
            first.display(),
            directory.display()
        )),
        None => say(&format!(
            "Put {} into PATH, so that the AWS CLI finds it.",
            directory.display()
        )),
    }
    Ok(())
}

/// A link to the program; a copy where links need privileges.
fn put(program: &Path, directory: &Path) -> anyhow::Result<PathBuf> {
    ensure!(
        directory.is_dir(),
        "there is no directory {}: create it, or name another one",
        directory.display()
    );
    // A link must lead there from anywhere.
    let directory = fs::canonicalize(directory).with_context(|| directory.display().to_string())?;
    let path = directory.join(NAME);
    match fs::symlink_metadata(&path) {
        Ok(_) if is_same(&path, program) => return Ok(path),
        Ok(_) => bail!(
            "{} is there already, and it is another program: remove it, or name another directory",
            path.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    }
    link(program, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(unix)]
fn link(program: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(program, path)
}

#[cfg(not(unix))]
fn link(program: &Path, path: &Path) -> io::Result<()> {
    fs::copy(program, path).map(drop)
}

/// The same file, by way of links; a copy is the same by what it holds.
fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) if one == other => true,
        (Ok(one), Ok(other)) if cfg!(windows) => {
            matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
        }
        _ => false,
    }
}

/// What a search of these directories finds first.
fn first_in(search: &OsStr) -> Option<PathBuf> {
    env::split_paths(search)
        .map(|directory| directory.join(NAME))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_put_once_and_another_program_is_left_alone() {
        let place = tempfile::tempdir().expect("a folder");
        let program = place.path().join("ssm-tunnel");
        fs::write(&program, "program").expect("written");
        let bin = place.path().join("bin");
        let error = put(&program, &bin).expect_err("no directory").to_string();
        assert!(error.contains("there is no directory"), "{error}");
        fs::create_dir(&bin).expect("made");
        let path = put(&program, &bin).expect("put");
        assert_eq!(fs::read_to_string(&path).expect("there"), "program");
        assert_eq!(put(&program, &bin).expect("there already"), path);
        assert!(is_same(&first_in(bin.as_os_str()).expect("found"), &path));
        assert_eq!(first_in(place.path().as_os_str()), None);
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "another").expect("written");
        let error = put(&program, &bin).expect_err("another").to_string();
        assert!(error.contains("it is another program"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("there"), "another");
    }
}
