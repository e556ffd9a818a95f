//! A program that runs while the tunnels are open.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::process::ExitStatus;

use tokio::process::{Child, Command};

use crate::forward::LocalSide;
use crate::signals::{Received, Signals};

/// Exit code when the tunnel failed, so that it is not taken for the program's (as `timeout` and
/// `env` do).
pub const TUNNEL_FAILED: u8 = 125;

/// For `--help`, after the other exit codes.
pub const HELP: &str = "\
With a command, its exit code is this program's; for one that a signal ended, 128 and its number. Besides:
  125  the tunnel failed
  126  the command could not be started
  127  there is no such command";

/// Why the program did not start, as shells tell it.
pub fn not_started(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}

/// Where the tunnels listen, for the program's environment: `SSM_TUNNEL_ADDR`, and for TCP
/// `SSM_TUNNEL_HOST` and `SSM_TUNNEL_PORT`; from the second one on with `_2`, `_3` at their ends.
pub fn environment(locals: &[(LocalSide, SocketAddr)]) -> Vec<(String, OsString)> {
    let mut variables = Vec::new();
    for (at, (local, address)) in locals.iter().enumerate() {
        let suffix = match at {
            0 => String::new(),
            _ => format!("_{}", at + 1),
        };
        let mut set = |name: &str, value: OsString| {
            variables.push((format!("SSM_TUNNEL_{name}{suffix}"), value));
        };
        match local {
            LocalSide::Socket(path) => set("ADDR", path.into()),
            LocalSide::Address(_) => {
                set("ADDR", address.to_string().into());
                set("HOST", address.ip().to_string().into());
                set("PORT", address.port().to_string().into());
            }
        }
    }
    variables
}

/// Starts it on this program's own input and output.
///
/// # Errors
/// What the system says; see [`not_started`].
pub fn start(command: &[OsString], environment: Vec<(String, OsString)>) -> io::Result<Child> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Command::new(program)
        .args(arguments)
        .envs(environment)
        .spawn()
}

/// Waits for its end, and passes on what asks this program to end. Ctrl-C it gets from the terminal
/// itself, and may have its own use for it.
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

/// Its exit code; for one that a signal ended, 128 and the signal's number, as shells have it.
pub fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    let code = status.code().unwrap_or(1);
    // Windows has codes that do not fit; none of them may look like success.
    u8::try_from(code).unwrap_or(u8::MAX)
}
