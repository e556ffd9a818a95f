//! A program that runs while the tunnels are open.

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

use super::child;
use super::signals::{Received, Signals};

/// Exit code when the tunnel failed, distinct from the command's own (as `timeout` and `env` do).
pub const TUNNEL_FAILED: u8 = 125;

/// For `--help`, after the other exit codes.
pub const HELP: &str = "\
With a command, its exit code is this program's; for one that a signal ended, 128 and its number. Besides:
  125  the tunnel failed
  126  the command could not be started
  127  there is no such command";

/// Exit code for a program that did not start, by the convention of shells.
pub fn not_started(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}

/// Starts it on this program's own input and output, in this program's environment without its
/// secrets.
///
/// # Errors
/// What the system says; see [`not_started`].
pub fn start(command: &[OsString], environment: Vec<(String, OsString)>) -> io::Result<Child> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let mut command = Command::new(system::resolve(program));
    child::keep_secrets_from(command.as_std_mut());
    command.args(arguments).envs(environment).spawn()
}

#[cfg(unix)]
mod system {
    use std::ffi::{OsStr, OsString};

    /// The system searches PATH itself.
    pub(super) fn resolve(program: &OsStr) -> OsString {
        program.to_owned()
    }
}

#[cfg(windows)]
mod system {
    use std::env;
    use std::ffi::{OsStr, OsString};
    use std::path::{Path, PathBuf};

    /// Without an extension the system only starts `.exe` files; a shell also starts these, and npm,
    /// mvn or flyway are such files.
    const ENDINGS: [&str; 4] = ["com", "exe", "bat", "cmd"];

    /// The file that a shell would start.
    pub(super) fn resolve(program: &OsStr) -> OsString {
        let path = Path::new(program);
        let named = path.parent().is_some_and(|folder| folder != "");
        let folders = match named {
            // As it stands.
            true => vec![PathBuf::new()],
            false => env::var_os("PATH")
                .map(|path| {
                    env::split_paths(&path)
                        .filter(|folder| folder.is_absolute())
                        .collect()
                })
                .unwrap_or_default(),
        };
        find(path, &folders).map_or_else(|| program.to_owned(), PathBuf::into_os_string)
    }

    /// With one of the endings, if it has none.
    fn find(program: &Path, folders: &[PathBuf]) -> Option<PathBuf> {
        if program.extension().is_some() {
            return None;
        }
        let file = |folder: &PathBuf| {
            let ending = |ending: &&str| folder.join(program).with_extension(ending);
            ENDINGS.iter().map(ending).find(|path| path.is_file())
        };
        folders.iter().find_map(file)
    }
}

/// Waits for the child to end, and passes on signals that ask this program to end, except Ctrl-C:
/// the terminal sends that to the child itself, which may handle it in its own way.
///
/// # Errors
/// What the system says.
pub async fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            received = signals.received() => pass_on(child, received),
        }
    }
}

/// Asks it to end.
pub fn terminate(child: &mut Child) {
    pass_on(child, Received::Terminate);
}

#[cfg(unix)]
fn pass_on(child: &Child, received: Received) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match received {
        Received::Interrupt => return,
        Received::Terminate => Signal::TERM,
        Received::HangUp => Signal::HUP,
    };
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(windows)]
fn pass_on(child: &mut Child, received: Received) {
    if received != Received::Interrupt {
        // It may have ended by itself.
        let _ = child.start_kill();
    }
}

/// The child's exit code, or 128 plus the signal's number, by the convention of shells.
pub fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    let code = status.code().unwrap_or(1);
    // Windows has exit codes that do not fit into a byte; none of them may look like success.
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_batch_file_is_started_without_its_ending_as_a_shell_does() {
        let folder = std::env::temp_dir().join(format!("ssm tunnel-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        // What npm puts beside each other; the first is for POSIX shells.
        std::fs::write(folder.join("seven"), "#!/bin/sh\n").expect("written");
        let exit = "@if \"%~1\"==\"a b\" exit /b %SSM_TUNNEL_PORT%\r\n@exit /b 1\r\n";
        std::fs::write(folder.join("seven.cmd"), exit).expect("written");
        let command = [folder.join("seven").into(), "a b".into()];
        let environment = vec![("SSM_TUNNEL_PORT".to_owned(), "7".into())];
        let mut child = start(&command, environment).expect("it starts");
        let status = child.wait().await.expect("it ends");
        std::fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(exit_code(status), 7);
        let none = start(&["no-such-program".into()], Vec::new());
        assert_eq!(none.err().map(|error| not_started(&error)), Some(127));
    }
}
