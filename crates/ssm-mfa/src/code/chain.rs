//! Several sources in order, and the standard order.

use super::given::{EnvironmentCode, StaticCode};
use super::program::askpass::Askpass;
use super::program::process::ProcessCode;
use super::source::{BoxFuture, Challenge, CodeError, MfaCodeSource};
use super::terminal::TerminalPrompt;
use crate::code::mfa_code::MfaCode;
use crate::error::MfaError;

/// Several sources in order: the first that has a code gives it.
///
/// A source that has no codes left ([`CodeError::UsedUp`]) or no terminal ([`CodeError::NoTerminal`])
/// is skipped; any other failure is final.
///
/// ```
/// use ssm_mfa::{CodeSourceChain, ProcessCode, TerminalPrompt};
///
/// let ykman = ProcessCode::new("ykman", ["oath", "accounts", "code", "--single", "AWS"]);
/// let codes = CodeSourceChain::new().or(ykman).or(TerminalPrompt::new());
/// ```
#[derive(Default)]
pub struct CodeSourceChain(Vec<Box<dyn MfaCodeSource>>);

impl CodeSourceChain {
    /// A chain without sources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source at the end.
    #[must_use = "it is the changed value"]
    pub fn or(mut self, source: impl MfaCodeSource) -> Self {
        self.0.push(Box::new(source));
        self
    }
}

impl std::fmt::Debug for CodeSourceChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CodeSourceChain")
            .field(&self.0.len())
            .finish()
    }
}

impl MfaCodeSource for CodeSourceChain {
    fn code<'a>(&'a self, challenge: &'a Challenge) -> BoxFuture<'a, Result<MfaCode, CodeError>> {
        Box::pin(async move {
            let mut failure = CodeError::NoTerminal;
            for source in &self.0 {
                match source.code(challenge).await {
                    Err(error @ (CodeError::UsedUp | CodeError::NoTerminal)) => failure = error,
                    outcome => return outcome,
                }
            }
            Err(failure)
        })
    }

    /// As the first source that has codes left.
    fn is_interactive(&self) -> bool {
        let next = self.0.iter().find(|source| !source.is_spent());
        next.is_some_and(|source| source.is_interactive())
    }

    fn is_spent(&self) -> bool {
        self.0.iter().all(|source| source.is_spent())
    }

    fn notice(&self, text: &str) {
        for source in &self.0 {
            source.notice(text);
        }
    }
}

/// The sources of a provider that is given none.
#[derive(Default)]
pub(crate) struct StandardOrder {
    /// Of the program.
    pub(crate) code: Option<MfaCode>,
    pub(crate) profile: Option<String>,
    pub(crate) mfa_process: Option<String>,
    #[cfg(feature = "totp")]
    pub(crate) totp: Option<crate::Totp>,
    pub(crate) terminal: TerminalPrompt,
}

impl StandardOrder {
    /// In order: the program's code, the environment's, the profile's `mfa_process`, the seed, the
    /// terminal, askpass.
    ///
    /// # Errors
    /// When the profile's `mfa_process` cannot be used.
    pub(crate) fn chain(self) -> Result<CodeSourceChain, MfaError> {
        let mut order = CodeSourceChain::new();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::source::{ChallengeReason, from_fn};

    fn fails(error: CodeError) -> impl MfaCodeSource {
        from_fn(move |_| {
            let error = error.clone();
            async move { Err(error) }
        })
    }

    fn code(text: &str) -> StaticCode {
        StaticCode::new(text.parse().expect("six digits"))
    }

    async fn ask(source: &CodeSourceChain) -> Result<MfaCode, CodeError> {
        let challenge = Challenge {
            serial: "arn:aws:iam::123456789012:mfa/taro"
                .parse()
                .expect("a serial"),
            profile: None,
            attempt: 1,
            reason: ChallengeReason::NoSession,
            not_before: None,
        };
        source.code(&challenge).await
    }

    #[tokio::test]
    async fn chain_skips_sources_without_codes_or_terminal() {
        let first = code("111111");
        let source = CodeSourceChain::new()
            .or(first)
            .or(fails(CodeError::NoTerminal))
            .or(code("222222"));
        assert_eq!(ask(&source).await, Ok("111111".parse().expect("digits")));
        assert_eq!(ask(&source).await, Ok("222222".parse().expect("digits")));
        assert_eq!(ask(&source).await, Err(CodeError::UsedUp));
        assert_eq!(
            ask(&CodeSourceChain::new()).await,
            Err(CodeError::NoTerminal)
        );
    }

    #[tokio::test]
    async fn chain_asks_again_after_a_given_code_not_after_a_program() {
        let source = CodeSourceChain::new()
            .or(code("111111"))
            .or(crate::TerminalPrompt::new());
        assert!(!source.is_interactive());
        assert_eq!(ask(&source).await, Ok("111111".parse().expect("digits")));
        assert!(source.is_interactive());
        let source = CodeSourceChain::new()
            .or(crate::ProcessCode::new("otp", [""; 0]))
            .or(crate::TerminalPrompt::new());
        assert!(!source.is_interactive());
    }

    #[tokio::test]
    async fn chain_stops_at_a_source_that_fails_or_is_cancelled() {
        let source = CodeSourceChain::new()
            .or(fails(CodeError::Cancelled))
            .or(code("222222"));
        assert_eq!(ask(&source).await, Err(CodeError::Cancelled));
    }
}
