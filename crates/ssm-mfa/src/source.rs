pub(crate) mod terminal;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use thiserror::Error;

use crate::code::{InvalidCode, MfaCode};
use crate::error::MfaError;
use crate::serial::MfaSerial;

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
    /// Anything else.
    #[error("no MFA code: {0}")]
    Other(String),
}

/// Where codes come from when nothing else is said.
///
/// # Errors
/// When the profile's `mfa_process` cannot be used.
pub(crate) fn standard(
    profile: Option<&str>,
    mfa_process: Option<&str>,
) -> Result<Arc<dyn MfaCodeSource>, MfaError> {
    match mfa_process {
        None => Ok(Arc::new(terminal::TerminalPrompt::new())),
        Some(command) => Err(MfaError::Profile {
            profile: profile.unwrap_or("default").to_owned(),
            key: Some("mfa_process"),
            value: Some(command.to_owned()),
            problem: "programs that make codes are not supported yet".to_owned(),
        }),
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
