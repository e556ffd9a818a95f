pub(crate) mod askpass;
pub(crate) mod command;
pub(crate) mod environment;
pub(crate) mod first;
pub(crate) mod process;
pub(crate) mod terminal;
#[cfg(feature = "totp")]
pub(crate) mod totp;
mod wait;

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::SystemTime;

use thiserror::Error;

use crate::code::{InvalidCode, MfaCode};
use crate::error::MfaError;
use crate::serial::MfaSerial;
use askpass::Askpass;
use environment::EnvironmentCode;
use first::FirstOf;
use process::ProcessCode;
use terminal::TerminalPrompt;

/// A boxed future, so that [`MfaCodeSource`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where codes come from: a terminal, a fixed value, a function.
pub trait MfaCodeSource: Send + Sync + 'static {
    /// The next code. A code that was returned before must not be returned again: AWS accepts each
    /// one once.
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>>;

    /// Whether a person answers, who can be asked again after a wrong code.
    fn is_interactive(&self) -> bool {
        false
    }

    /// Whether it has given all the codes it had. Default `false`.
    fn is_spent(&self) -> bool {
        false
    }

    /// Tells the person something that needs no answer, such as that another program is asking.
    /// Default: nobody is told.
    fn notice(&self, text: &str) {
        let _ = text;
    }
}

/// What a code is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// The device.
    pub serial: MfaSerial,
    /// The profile that the credentials are for.
    pub profile: Option<String>,
    /// Counts from 1.
    pub attempt: u32,
    /// Why it is asked for.
    pub reason: Reason,
    /// The device's code was used in this 30 s step already: a code made before this moment would
    /// be the same one. Sources that make codes wait for it; a person sees the code change.
    pub not_before: Option<SystemTime>,
}

/// Why a code is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// There is no session, or it is about to expire.
    NoSession,
    /// AWS did not accept the last code.
    Rejected,
    /// The last code was used before; AWS accepts each once.
    Reused,
    /// The last answer was not six digits.
    Malformed,
    /// The role does not accept the MFA session; it wants a code of its own.
    RoleWantsCode,
}

/// Why there is no code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodeError {
    /// There is nobody to ask.
    #[error("there is no terminal to ask for the MFA code on")]
    NoTerminal,
    /// The person, or the program, does not want to.
    #[error("the MFA prompt was cancelled")]
    Cancelled,
    /// The source had one code, and that is used up.
    #[error("the MFA code that was given is used up: AWS accepts each code once")]
    UsedUp,
    /// What was given is not a code.
    #[error(transparent)]
    Format(#[from] InvalidCode),
    /// The program that makes codes failed.
    #[error("no MFA code: {program} {problem}")]
    Process {
        /// The program.
        program: String,
        /// How, with the first line that it said on standard error.
        problem: String,
    },
    /// Anything else.
    #[error("no MFA code: {0}")]
    Other(String),
}

/// What the standard order of sources is made of.
#[derive(Default)]
pub(crate) struct Standard {
    /// Of the command line.
    pub(crate) code: Option<MfaCode>,
    pub(crate) profile: Option<String>,
    pub(crate) mfa_process: Option<String>,
    #[cfg(feature = "totp")]
    pub(crate) totp: Option<totp::Totp>,
    pub(crate) terminal: TerminalPrompt,
}

impl Standard {
    /// The code of the command line, of the environment, the profile's `mfa_process`, the seed,
    /// the terminal, askpass. The first that has a code gives it.
    ///
    /// # Errors
    /// When the profile's `mfa_process` cannot be used.
    pub(crate) fn source(self) -> Result<FirstOf, MfaError> {
        let mut order = FirstOf::new();
        if let Some(code) = self.code {
            order = order.or(StaticCode::new(code));
        }
        if let Some(code) = EnvironmentCode::read() {
            order = order.or(code);
        }
        if let Some(command) = self.mfa_process {
            let process = command.parse::<ProcessCode>();
            order = order.or(process.map_err(|problem| MfaError::Profile {
                profile: self.profile.unwrap_or_else(|| "default".to_owned()),
                key: Some("mfa_process"),
                value: Some(command),
                problem: problem.to_string(),
            })?);
        }
        #[cfg(feature = "totp")]
        if let Some(totp) = self.totp {
            order = order.or(totp);
        }
        order = order.or(self.terminal);
        if let Some(askpass) = Askpass::from_env() {
            order = order.or(askpass);
        }
        Ok(order)
    }
}

/// One code, good for one request: of a command line, or of another program.
#[derive(Debug)]
pub struct StaticCode(Mutex<Option<MfaCode>>);

impl StaticCode {
    /// Gives out this code once.
    pub fn new(code: MfaCode) -> Self {
        Self(Mutex::new(Some(code)))
    }
}

impl MfaCodeSource for StaticCode {
    fn code<'a>(&'a self, _: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        let code = self.0.lock().ok().and_then(|mut code| code.take());
        Box::pin(async { code.ok_or(CodeError::UsedUp) })
    }

    fn is_spent(&self) -> bool {
        self.0.lock().is_ok_and(|code| code.is_none())
    }
}

/// Asks a function for each code.
///
/// ```
/// # fn device() -> String { "123456".to_owned() }
/// let source = ssm_mfa::from_fn(|challenge| {
///     let code = device().parse();
///     async move { Ok(code?) }
/// });
/// ```
pub fn from_fn<F, Fut>(function: F) -> impl MfaCodeSource
where
    F: Fn(Challenge) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<MfaCode, CodeError>> + Send + 'static,
{
    FromFn(function)
}

struct FromFn<F>(F);

impl<F, Fut> MfaCodeSource for FromFn<F>
where
    F: Fn(Challenge) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<MfaCode, CodeError>> + Send + 'static,
{
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        Box::pin((self.0)(challenge.clone()))
    }
}
