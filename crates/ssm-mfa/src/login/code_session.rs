//! A session that a code is spent on: asks for the code, sends it once, and asks again where that
//! can help.

use aws_types::sdk_config::SharedTimeSource;

use super::assume::role_session;
use super::plan::CodeUse;
use super::used_codes::UsedCodes;
use crate::code::mfa_code::MfaCode;
use crate::code::source::{Challenge, ChallengeReason, CodeError, MfaCodeSource};
use crate::error::{CodeFate, MfaError};
use crate::serial::MfaSerial;
use crate::session::{Session, SessionKind, SessionSource};
use crate::settings::Settings;
use crate::sts::{AssumeRole, SourceCredentials, Sts};

/// What it takes to start one.
pub(super) struct CodeSession<'a> {
    pub(super) settings: &'a Settings,
    pub(super) serial: &'a MfaSerial,
    pub(super) sts: &'a Sts,
    pub(super) codes: &'a dyn MfaCodeSource,
    pub(super) used_codes: UsedCodes<'a>,
    pub(super) clock: &'a SharedTimeSource,
    pub(super) source: &'a SourceCredentials,
    pub(super) code_use: CodeUse,
}

impl CodeSession<'_> {
    /// Asks and calls until there is a session, or asking again is pointless.
    pub(super) async fn start(&self, mut reason: ChallengeReason) -> Result<Session, MfaError> {
        let mut attempt = 1;
        // Why the last code was refused.
        let mut refusal: Option<MfaError> = None;
        loop {
            let outcome = match self.ask(attempt, reason).await {
                Ok(code) => self.send(&code).await,
                Err(error) => Err(error),
            };
            // A code that the program was given may be followed by a person, who can be asked.
            let again = self.codes.is_interactive() && attempt < self.settings.max_attempts;
            reason = match &outcome {
                Err(MfaError::InvalidCode { .. }) if again => ChallengeReason::Rejected,
                Err(MfaError::CodeReused { .. }) if again => ChallengeReason::Reused,
                Err(MfaError::Code(CodeError::Format(_))) if again => ChallengeReason::Malformed,
                Err(MfaError::NoTerminal { .. } | MfaError::Code(CodeError::UsedUp)) => {
                    return refusal.map_or(outcome, Err);
                }
                _ => return outcome.map_err(|error| counted(attempt, error)),
            };
            refusal = outcome.err().map(|error| counted(attempt, error));
            attempt += 1;
        }
    }

    async fn ask(&self, attempt: u32, reason: ChallengeReason) -> Result<MfaCode, MfaError> {
        let challenge = Challenge {
            serial: self.serial.clone(),
            profile: self.settings.profile.clone(),
            attempt,
            reason,
            not_before: self.used_codes.not_before(self.clock.now()).await,
        };
        let limit = self.settings.prompt_timeout;
        let answer = tokio::time::timeout(limit, self.codes.code(&challenge)).await;
        let serial = self.serial.clone();
        match answer {
            Ok(Ok(code)) => Ok(code),
            Ok(Err(CodeError::NoTerminal)) => Err(MfaError::NoTerminal { serial }),
            Ok(Err(CodeError::Cancelled)) => Err(MfaError::Cancelled),
            Ok(Err(error)) => Err(MfaError::Code(error)),
            Err(_) => Err(MfaError::PromptTimeout {
                serial,
                after: limit,
            }),
        }
    }

    /// Sends a code, unless it was sent before.
    async fn send(&self, code: &MfaCode) -> Result<Session, MfaError> {
        if !self.used_codes.mark_used(code, self.clock.now()).await {
            return Err(MfaError::CodeReused {
                serial: self.serial.clone(),
            });
        }
        let outcome = self.spend(code).await;
        if let Err(MfaError::Network {
            code: CodeFate::NotSent,
            ..
        }) = &outcome
        {
            self.used_codes.unmark(code).await;
        }
        outcome
    }

    async fn spend(&self, code: &MfaCode) -> Result<Session, MfaError> {
        let credentials = &self.source.credentials;
        match (self.code_use, self.settings.roles.first()) {
            (CodeUse::FirstRole, Some(role)) => {
                let call = self.sts.assume_role(AssumeRole {
                    credentials,
                    over_mfa: false,
                    role,
                    duration: role.duration,
                    device: Some((self.serial, code)),
                });
                let issued = call.await?;
                let ends = Some(issued.expires);
                Ok(role_session(issued, role, SessionKind::RoleWithCode, ends))
            }
            _ => {
                let duration = self.settings.session_duration;
                let call = self
                    .sts
                    .get_session_token(credentials, self.serial, code, duration);
                let issued = call.await?;
                Ok(Session {
                    code_needed: Some(issued.expires),
                    credentials: issued.credentials,
                    kind: SessionKind::Mfa,
                    account: self.serial.account().map(str::to_owned),
                    arn: None,
                    source: SessionSource::Fresh,
                })
            }
        }
    }
}

/// The error about a refused code, with the number of codes tried.
fn counted(attempt: u32, error: MfaError) -> MfaError {
    match error {
        MfaError::InvalidCode { skew, context, .. } => MfaError::InvalidCode {
            attempts: attempt,
            skew,
            context,
        },
        error => error,
    }
}
