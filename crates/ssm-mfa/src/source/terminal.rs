use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::code::MfaCode;
use crate::source::{BoxFuture, Challenge, CodeError, MfaCodeSource, Reason};

/// Longest line that is read.
const MAX_LINE: usize = 256;

/// Asks on the controlling terminal (`/dev/tty`, or `CONIN$` and `CONOUT$`), never on standard
/// input or output: those may carry somebody else's data.
#[derive(Debug, Clone, Default)]
pub struct TerminalPrompt(());

impl TerminalPrompt {
    /// Shows what is typed, as a code is of no use to anybody afterwards.
    pub fn new() -> Self {
        Self::default()
    }
}

impl MfaCodeSource for TerminalPrompt {
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        let text = prompt(challenge);
        let retry = challenge.reason != Reason::NoSession;
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            let abandoned = Arc::new(AtomicBool::new(false));
            let guard = Abandon(abandoned.clone());
            let reading = thread::Builder::new()
                .name("mfa-prompt".to_owned())
                .spawn(move || {
                    let _ = sender.send(ask(&text, retry, &abandoned));
                });
            reading.map_err(|error| CodeError::Other(error.to_string()))?;
            let answer = receiver.await.map_err(|_| CodeError::Cancelled)??;
            drop(guard);
            Ok(answer.parse::<MfaCode>()?)
        })
    }

    fn is_interactive(&self) -> bool {
        true
    }

    fn notice(&self, text: &str) {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let told =
            open().and_then(|(_, mut output)| output.write_all(format!("{text}\n").as_bytes()));
        if let Err(error) = told {
            tracing::debug!(%error, "no terminal for a notice");
        }
    }
}

/// Tells the reading thread that nobody waits for it any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Begins as the AWS CLI's prompt, which scripts expect.
fn prompt(challenge: &Challenge) -> String {
    let serial: String = challenge
        .serial
        .as_str()
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let reason = match challenge.reason {
        Reason::NoSession => "",
        Reason::Rejected => "AWS did not accept the code: mistyped, expired, or already used.\n",
        Reason::Reused => "AWS accepts each code once: wait for the next one (up to 30 s).\n",
        Reason::Malformed => "An MFA code is six digits.\n",
        Reason::RoleWantsCode => {
            "The role does not accept the MFA session: it wants a new code of its own.\n"
        }
    };
    format!("{reason}Enter MFA code for {serial}: ")
}

fn ask(text: &str, retry: bool, abandoned: &AtomicBool) -> Result<Zeroizing<String>, CodeError> {
    let (mut input, mut output) = open().map_err(|_| CodeError::NoTerminal)?;
    if retry {
        system::discard_typed(&input);
    }
    let failed = |error: io::Error| CodeError::Other(error.to_string());
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .map_err(failed)?;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE));
    let mut byte = [0];
    while !line.ends_with(b"\n") && line.len() < MAX_LINE {
        if !system::wait_readable(&input, abandoned).map_err(failed)? {
            return Err(CodeError::Cancelled);
        }
        match input.read(&mut byte) {
            // End-of-file: Ctrl-D, or the terminal is gone.
            Ok(0) => return Err(CodeError::Cancelled),
            Ok(_) => line.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    // Bytes that are no UTF-8 are no digits either.
    Ok(Zeroizing::new(String::from_utf8_lossy(&line).into_owned()))
}

#[cfg(unix)]
fn open() -> io::Result<(File, File)> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    Ok((terminal.try_clone()?, terminal))
}

#[cfg(windows)]
fn open() -> io::Result<(File, File)> {
    let input = File::options().read(true).write(true).open("CONIN$")?;
    let output = File::options().read(true).write(true).open("CONOUT$")?;
    Ok((input, output))
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::termios::{QueueSelector, tcflush};

    /// How often the reading thread looks whether it is still wanted.
    const GLANCE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };

    /// What was typed before the question is no answer to it.
    pub(super) fn discard_typed(terminal: &File) {
        if let Err(error) = tcflush(terminal, QueueSelector::IFlush) {
            tracing::debug!(%error, "typed characters not discarded");
        }
    }

    /// Waits for input; `false` when nobody waits for it any more.
    pub(super) fn wait_readable(terminal: &File, abandoned: &AtomicBool) -> io::Result<bool> {
        while !abandoned.load(Ordering::Relaxed) {
            match poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&GLANCE)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }
}

#[cfg(windows)]
mod system {
    use std::fs::File;
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// The console hands over whole lines, so a line typed before stays one that was asked for.
    pub(super) fn discard_typed(_: &File) {}

    /// The console's read cannot be given up; what is typed afterwards goes nowhere.
    pub(super) fn wait_readable(_: &File, abandoned: &AtomicBool) -> io::Result<bool> {
        Ok(!abandoned.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_begins_as_the_aws_clis_and_says_why_it_asks_again() {
        let mut challenge = Challenge {
            serial: "arn:aws:iam::123456789012:mfa/taro"
                .parse()
                .expect("a serial"),
            profile: None,
            attempt: 1,
            reason: Reason::NoSession,
            not_before: None,
        };
        assert_eq!(
            prompt(&challenge),
            "Enter MFA code for arn:aws:iam::123456789012:mfa/taro: "
        );
        challenge.reason = Reason::Reused;
        assert!(prompt(&challenge).starts_with("AWS accepts each code once"));
    }
}
