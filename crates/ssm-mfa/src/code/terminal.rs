//! Asks on the terminal.

use std::thread;

use ssm_terminal::{one_line, printable};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::code::mfa_code::MfaCode;
use crate::code::source::{BoxFuture, Challenge, ChallengeReason, CodeError, MfaCodeSource};
use crate::serial::MfaSerial;

mod options;
#[cfg_attr(unix, path = "terminal/unix.rs")]
#[cfg_attr(windows, path = "terminal/windows.rs")]
mod system;

use options::Options;
pub(crate) use system::open;

/// Writes text to the terminal, without the control characters of outside origin.
pub(crate) fn say(text: &str) -> std::io::Result<()> {
    system::say(&printable(text))
}

/// Asks on the controlling terminal (`/dev/tty`, or `CONIN$` and `CONOUT$`), never on standard
/// input or output, which may carry other data.
///
/// By default it shows what is typed, since a used code is worthless, and leaves the terminal's
/// settings alone.
#[derive(Debug, Clone, Default)]
pub struct TerminalPrompt {
    options: Options,
}

impl TerminalPrompt {
    /// A prompt that shows what is typed, and leaves signals to the program.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether what is typed is hidden. Default `false`.
    ///
    /// The terminal's settings are restored after the answer, when the prompt is dropped, and on
    /// SIGINT, SIGTERM, SIGHUP and SIGQUIT. For that, the prompt installs handlers of these signals
    /// that stay for the rest of the program: once the terminal is restored, and outside prompts,
    /// the signals end the program as they do by default. A program that handles them itself sets
    /// [`cancel_on_signal`](Self::cancel_on_signal).
    pub fn hide_code(mut self, hide: bool) -> Self {
        self.options.hide = hide;
        self
    }

    /// For programs that handle SIGINT, SIGTERM, SIGHUP and SIGQUIT themselves (`tokio::signal`):
    /// one of these also ends the prompt, with [`CodeError::Cancelled`]. Default `false`. Without
    /// effect on Windows, where the program's own handler can drop the login.
    pub fn cancel_on_signal(mut self, cancel: bool) -> Self {
        self.options.cancel_on_signal = cancel;
        self
    }

    async fn line(&self, text: String, retry: bool) -> Result<Zeroizing<String>, CodeError> {
        let options = self.options;
        let (sender, receiver) = oneshot::channel();
        let failed = |error: std::io::Error| CodeError::Other(error.to_string());
        // Dropping it with this future ends the thread and restores the terminal.
        let (_guard, cancel) = system::cancel().map_err(failed)?;
        thread::Builder::new()
            .name("mfa-prompt".to_owned())
            .spawn(move || {
                let text = printable(&text);
                let _ = sender.send(system::read_line(&text, options, retry, &cancel));
            })
            .map_err(failed)?;
        receiver.await.map_err(|_| CodeError::Cancelled)?
    }
}

impl MfaCodeSource for TerminalPrompt {
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        let text = prompt(challenge);
        let retry = challenge.reason != ChallengeReason::NoSession;
        Box::pin(async move { Ok(self.line(text, retry).await?.parse::<MfaCode>()?) })
    }

    fn is_interactive(&self) -> bool {
        true
    }

    fn notice(&self, text: &str) {
        if let Err(error) = say(&format!("{}\n", one_line(text))) {
            tracing::debug!(%error, "no terminal for a notice");
        }
    }
}

/// Asks on the terminal which of several devices to use.
///
/// # Errors
/// [`CodeError::NoTerminal`] without a terminal, [`CodeError::Cancelled`] if the answer is not one of
/// the numbers.
pub async fn choose_device(devices: &[MfaSerial]) -> Result<MfaSerial, CodeError> {
    let mut text = "There are several MFA devices:\n".to_owned();
    for (number, device) in (1..).zip(devices) {
        text.push_str(&format!("  {number}) {}\n", one_line(device.as_str())));
    }
    text.push_str("Number of the one to use: ");
    let answer = TerminalPrompt::new().line(text, false).await?;
    let number = answer.trim().parse::<usize>().ok();
    let chosen = number.and_then(|number| devices.get(number.checked_sub(1)?));
    chosen.cloned().ok_or(CodeError::Cancelled)
}

/// The prompt. Its question is the AWS CLI's, which scripts expect.
pub(super) fn prompt(challenge: &Challenge) -> String {
    let reason = match challenge.reason {
        ChallengeReason::NoSession => "",
        ChallengeReason::Rejected => {
            "AWS did not accept the code: mistyped, expired, or already used.\n"
        }
        ChallengeReason::Reused => {
            "AWS accepts each code once: wait for the next one (up to 30 s).\n"
        }
        ChallengeReason::Malformed => "An MFA code is six digits.\n",
        ChallengeReason::RoleWantsCode => {
            "The role does not accept the MFA session: it demands a new code of its own.\n"
        }
    };
    let serial = one_line(challenge.serial.as_str());
    format!("{reason}Enter MFA code for {serial}: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_is_the_aws_clis_and_says_why_it_asks_again() {
        let mut challenge = Challenge {
            serial: "arn:aws:iam::123456789012:mfa/taro"
                .parse()
                .expect("a serial"),
            profile: None,
            attempt: 1,
            reason: ChallengeReason::NoSession,
            not_before: None,
        };
        assert_eq!(
            prompt(&challenge),
            "Enter MFA code for arn:aws:iam::123456789012:mfa/taro: "
        );
        challenge.reason = ChallengeReason::Reused;
        assert!(prompt(&challenge).starts_with("AWS accepts each code once"));
    }

    #[test]
    fn shown_text_cannot_control_the_terminal() {
        assert_eq!(
            one_line("a\u{1b}[2J\r\nb\u{9b}c"),
            r"a\u{1b}[2J\r\nb\u{9b}c"
        );
    }
}
