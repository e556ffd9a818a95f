//! A program that prints the code.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use aws_types::sdk_config::{SharedTimeSource, TimeSource};

use super::command::{Command, InvalidCommand};
use crate::code::countdown;
use crate::code::mfa_code::MfaCode;
use crate::code::source::{BoxFuture, Challenge, CodeError, MfaCodeSource};

/// A program that prints the code, such as `ykman oath accounts code --single AWS`: the profile's
/// `mfa_process`.
///
/// The program runs without a shell. Its standard input is the terminal, its standard error is shown
/// there, and its standard output is the code and nothing else. `SSM_MFA_SERIAL` in its environment
/// names the device. Once a code has been used, the program is not run before the next 30 s step;
/// the terminal shows a countdown.
///
/// A text is split at white space, except within `"…"` and `'…'`. A backslash has no special
/// meaning, on any system.
#[derive(Debug, Clone)]
pub struct ProcessCode {
    command: Command,
    timeout: Duration,
    clock: SharedTimeSource,
}

impl ProcessCode {
    /// Runs this program with these arguments.
    pub fn new(
        program: impl Into<OsString>,
        args: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self::of(Command::new(program.into(), args))
    }

    fn of(command: Command) -> Self {
        Self {
            command,
            timeout: Duration::from_secs(120),
            clock: SharedTimeSource::default(),
        }
    }

    /// Time allowed for the program. Default 2 minutes; the provider's prompt timeout applies too.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The clock that codes change by. Default: the system's.
    pub fn clock(mut self, clock: impl TimeSource + 'static) -> Self {
        self.clock = SharedTimeSource::new(clock);
        self
    }
}

impl FromStr for ProcessCode {
    type Err = InvalidCommand;

    fn from_str(text: &str) -> Result<Self, InvalidCommand> {
        Command::parse(text).map(Self::of)
    }
}

impl MfaCodeSource for ProcessCode {
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        Box::pin(async move {
            countdown::until(challenge.not_before, &self.clock).await;
            let environment = [("SSM_MFA_SERIAL", challenge.serial.as_str())];
            let output = self.command.output(&environment, self.timeout).await?;
            Ok(output.parse::<MfaCode>()?)
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::code::source::ChallengeReason;

    fn challenge() -> Challenge {
        Challenge {
            serial: "arn:aws:iam::123456789012:mfa/taro"
                .parse()
                .expect("a serial"),
            profile: None,
            attempt: 1,
            reason: ChallengeReason::NoSession,
            not_before: None,
        }
    }

    fn shell(script: &str) -> ProcessCode {
        ProcessCode::new("/bin/sh", ["-c", script])
    }

    async fn ask(source: ProcessCode) -> Result<MfaCode, CodeError> {
        source.code(&challenge()).await
    }

    #[tokio::test]
    async fn process_prints_the_code_of_the_device() {
        let script = r#"case $SSM_MFA_SERIAL in *:mfa/taro) echo " 123456 ";; esac"#;
        let code = ask(shell(script)).await.expect("a code");
        assert_eq!(code.expose(), "123456");
    }

    #[tokio::test]
    async fn process_failure_names_program_status_and_first_line() {
        let script = "echo 918273; echo 'no YubiKey' >&2; echo 'more' >&2; exit 3";
        let error = ask(shell(script)).await.expect_err("fails");
        let text = "no MFA code: /bin/sh failed (exit status: 3): no YubiKey";
        assert_eq!(error.to_string(), text);
        let error = ask(ProcessCode::new("/nowhere/otp", [""; 0])).await;
        let error = error.expect_err("is not there").to_string();
        let text = "no MFA code: /nowhere/otp cannot be started: ";
        assert!(error.starts_with(text), "{error}");
    }

    #[tokio::test]
    async fn process_output_that_is_no_code_is_not_repeated() {
        for script in ["echo AWS:taro 918273", "head -c 100000 /dev/zero", "true"] {
            let error = ask(shell(script)).await.expect_err("no code").to_string();
            assert!(!error.contains("918273"), "{error}");
        }
    }

    #[tokio::test]
    async fn process_that_takes_too_long_is_killed() {
        let script = "echo $$ >&2; exec sleep 1000";
        let source = shell(script).timeout(Duration::from_millis(1));
        let error = ask(source).await.expect_err("is too slow");
        let text = "no MFA code: /bin/sh did not end within 0 s";
        assert_eq!(error.to_string(), text);
    }
}
