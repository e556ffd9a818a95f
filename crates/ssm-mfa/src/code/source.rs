//! The interface of a source of codes.

use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use thiserror::Error;

use crate::code::mfa_code::{InvalidCode, MfaCode};
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
