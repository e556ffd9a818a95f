//! A program that asks for the code in a window.

use std::ffi::OsString;
use std::time::Duration;

use super::command::Command;
use crate::code::mfa_code::MfaCode;
use crate::code::source::{BoxFuture, Challenge, CodeError, MfaCodeSource};
use crate::code::terminal::prompt;

/// The provider's prompt timeout is shorter.
const TIMEOUT: Duration = Duration::from_secs(3600);

/// A program that asks in a window, like ssh's: its argument is the prompt, its first line of output
/// the code; it fails when the person cancels.
#[derive(Debug, Clone)]
pub struct Askpass {
    program: OsString,
}

impl Askpass {
    /// A source that runs this program.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
        }
    }

    /// The program that SSM_TUNNEL_ASKPASS names, or SSH_ASKPASS.
    pub fn from_env() -> Option<Self> {
        ["SSM_TUNNEL_ASKPASS", "SSH_ASKPASS"]
            .into_iter()
            .filter_map(std::env::var_os)
            .find(|program| !program.is_empty())
            .map(Self::new)
    }
}

impl MfaCodeSource for Askpass {
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        let text = prompt(challenge).into();
        let command = Command::new(self.program.clone(), vec![text]);
        Box::pin(async move {
            let output = command.output(&[], TIMEOUT).await?;
            let line = output.lines().next().unwrap_or_default();
            Ok(line.parse::<MfaCode>()?)
        })
    }

    fn is_interactive(&self) -> bool {
        true
    }
}
