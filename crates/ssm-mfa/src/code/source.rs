//! The interface of a source of codes.

use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use thiserror::Error;

use crate::code::mfa_code::{InvalidCode, MfaCode};
use crate::serial::MfaSerial;

/// A boxed future, so that [`MfaCodeSource`] can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A source of codes: a terminal, a fixed value, a function.
///
/// For a source that needs no more than a function, see [`from_fn`].
///
/// ```
/// use ssm_mfa::{BoxFuture, Challenge, CodeError, MfaCode, MfaCodeSource};
///
/// /// Asks a hardware token on a serial line.
/// struct Token;
///
/// # async fn read_line(_: &str) -> std::io::Result<String> { Ok("123456".to_owned()) }
/// impl MfaCodeSource for Token {
///     fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
///         Box::pin(async {
///             let line = read_line(challenge.serial.as_str()).await;
///             let line = line.map_err(|error| CodeError::Other(error.to_string()))?;
///             Ok(line.parse::<MfaCode>()?)
///         })
///     }
/// }
///
/// let builder = ssm_mfa::MfaProvider::builder().code_source(Token);
/// ```
pub trait MfaCodeSource: Send + Sync + 'static {
    /// The next code. AWS accepts each code once, so a source must not return one again.
    ///
    /// # Errors
    /// Why there is no code. After [`CodeError::UsedUp`] and [`CodeError::NoTerminal`], a
    /// [`CodeSourceChain`](crate::CodeSourceChain) asks its next source.
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>>;

    /// Whether a person answers, and can be asked again after a wrong code. Default `false`.
    fn is_interactive(&self) -> bool {
        false
    }

    /// Whether the source has no codes left. Default `false`.
    fn is_spent(&self) -> bool {
        false
    }

    /// Shows the person something that needs no answer, such as that another program is asking.
    /// Default: nothing is shown.
    fn notice(&self, text: &str) {
        let _ = text;
    }
}

/// What a code is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// The device.
    pub serial: MfaSerial,
    /// The profile that the credentials are for.
    pub profile: Option<String>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Why the code is needed.
    pub reason: ChallengeReason,
    /// If the device's current code was used already, when the device shows the next one. Sources
    /// that compute codes wait until then; a person sees the code change.
    pub not_before: Option<SystemTime>,
}

/// Why a code is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChallengeReason {
    /// There is no session, or it is about to expire.
    NoSession,
    /// AWS did not accept the last code.
    Rejected,
    /// The last code had been used before: AWS accepts each code once.
    Reused,
    /// The last answer was not six digits.
    Malformed,
    /// The role refused the MFA session: it demands a code of its own.
    RoleWantsCode,
}

/// Why there is no code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodeError {
    /// There is no terminal to ask on.
    #[error("no terminal to ask for the MFA code")]
    NoTerminal,
    /// The person or the program cancelled.
    #[error("the MFA prompt was cancelled")]
    Cancelled,
    /// The source has given all its codes.
    #[error("the given MFA code has been used already: AWS accepts each code once")]
    UsedUp,
    /// The text is not a code.
    #[error(transparent)]
    Format(#[from] InvalidCode),
    /// The program that prints codes failed.
    #[error("no MFA code: {program} {problem}")]
    Process {
        /// The program.
        program: String,
        /// The failure, with the first line of standard error.
        problem: String,
    },
    /// Anything else.
    #[error("no MFA code: {0}")]
    Other(String),
}

/// A source that calls a function for each code.
///
/// ```
/// # fn device() -> String { "123456".to_owned() }
/// let source = ssm_mfa::from_fn(|challenge| {
///     let code = device().parse();
///     async move { Ok(code?) }
/// });
/// ```
pub fn from_fn<F, Fut>(function: F) -> FromFn<F>
where
    F: Fn(Challenge) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<MfaCode, CodeError>> + Send + 'static,
{
    FromFn(function)
}

/// The source that [`from_fn`] returns.
pub struct FromFn<F>(F);

impl<F> std::fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FromFn(..)")
    }
}

impl<F, Fut> MfaCodeSource for FromFn<F>
where
    F: Fn(Challenge) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<MfaCode, CodeError>> + Send + 'static,
{
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        Box::pin((self.0)(challenge.clone()))
    }
}
