//! The session that a code is spent on: one prompt for every program of this user.

use std::time::Duration;

use super::run::{CodeUse, Inner};
use crate::cache::cache_key::Identity;
use crate::code::mfa_code::MfaCode;
use crate::code::source::{Challenge, CodeError, Reason};
use crate::error::{CodeFate, MfaError};
use crate::login::used_codes::UsedCodes;
use crate::serial::MfaSerial;
use crate::session::{Session, SessionKind, SessionSource};
use crate::settings::LoginRequest;
use crate::sts::SourceCredentials;

impl Inner {
    pub(super) async fn rooted(
        &self,
        root: CodeUse,
        base: &SourceCredentials,
        identity: &Identity,
        request: LoginRequest,
        reason: Reason,
    ) -> Result<Session, MfaError> {
        let Some((serial, _)) = &self.serial else {
            return Err(MfaError::Settings(
                "the MFA provider has no device".to_owned(),
            ));
        };
        let kept = if request.force_new {
            None
        } else {
            self.kept(root, identity).await
        };
        match kept {
            Some(session) if session.is_fresh(self.now()) || !request.may_prompt => {
                return Ok(session);
            }
            _ if !request.may_prompt => {
                return Err(MfaError::LoginRequired {
                    profile: self.profile.clone(),
                    serial: serial.clone(),
                });
            }
            _ => {}
        }
        let _lock = self.wait_for_lock(identity).await;
        // Another program may have asked meanwhile.
        if !request.force_new
            && let Some(session) = self.kept(root, identity).await
            && session.is_fresh(self.now())
        {
            return Ok(session);
        }
        let session = self
            .ask_and_call(root, base, identity, serial, reason)
            .await?;
        let (key, ..) = self.entry(root, identity);
        self.cache().save(key, &session).await;
        #[cfg(feature = "cli-cache")]
        if let (CodeUse::Role, Some(place)) = (root, &self.cli) {
            place.save(&session).await;
        }
        self.lock().root = Some((root, session.clone()));
        Ok(session)
    }

    /// The lock around a prompt and what comes of it, for every program of this user.
    async fn wait_for_lock(&self, identity: &Identity) -> Option<Box<dyn Send>> {
        let told = |pid: Option<u32>| {
            let who = pid.filter(|pid| *pid != std::process::id());
            if let Some(pid) = who {
                self.source.notice(&format!(
                    "another ssm-tunnel (pid {pid}) is asking for the MFA code; waiting for it"
                ));
            }
        };
        self.cache()
            .lock(identity.prompt(), self.patience(), told)
            .await
    }

    /// Longer than it takes to ask as often as is allowed, about a session and then about a role.
    pub(crate) fn patience(&self) -> Duration {
        self.prompt_timeout
            .saturating_mul(self.max_attempts)
            .saturating_mul(2)
            .saturating_add(Duration::from_secs(60))
    }

    /// Asks and calls until there is a session or no point in asking again.
    async fn ask_and_call(
        &self,
        root: CodeUse,
        base: &SourceCredentials,
        identity: &Identity,
        serial: &MfaSerial,
        mut reason: Reason,
    ) -> Result<Session, MfaError> {
        let guard = UsedCodes::new(identity, self.cache());
        let mut attempt = 1;
        // Why the last code would not do.
        let mut refusal: Option<MfaError> = None;
        loop {
            let outcome = match self.ask(&guard, serial, attempt, reason).await {
                Ok(code) if guard.use_up(&code, self.now()).await => {
                    let outcome = self.spend(root, base, serial, &code).await;
                    if let Err(MfaError::Network {
                        code: CodeFate::NotSent,
                        ..
                    }) = &outcome
                    {
                        guard.give_back(&code).await;
                    }
                    outcome
                }
                Ok(_) => Err(MfaError::CodeReused {
                    serial: serial.clone(),
                }),
                Err(error) => Err(error),
            };
            // A code that was given may be followed by somebody who can be asked, or by nobody.
            let again = self.source.is_interactive() && attempt < self.max_attempts;
            reason = match &outcome {
                Err(MfaError::InvalidCode { .. }) if again => Reason::Rejected,
                Err(MfaError::CodeReused { .. }) if again => Reason::Reused,
                Err(MfaError::Code(CodeError::Format(_))) if again => Reason::Malformed,
                Err(MfaError::NoTerminal { .. } | MfaError::Code(CodeError::UsedUp)) => {
                    return refusal.map_or(outcome, Err);
                }
                _ => return outcome.map_err(|error| after(attempt, error)),
            };
            refusal = outcome.err().map(|error| after(attempt, error));
            attempt += 1;
        }
    }

    async fn ask(
        &self,
        guard: &UsedCodes<'_>,
        serial: &MfaSerial,
        attempt: u32,
        reason: Reason,
    ) -> Result<MfaCode, MfaError> {
        let challenge = Challenge {
            serial: serial.clone(),
            profile: self.profile.clone(),
            attempt,
            reason,
            not_before: guard.not_before(self.now()).await,
        };
        let answer = tokio::time::timeout(self.prompt_timeout, self.source.code(&challenge)).await;
        let serial = serial.clone();
        match answer {
            Ok(Ok(code)) => Ok(code),
            Ok(Err(CodeError::NoTerminal)) => Err(MfaError::NoTerminal { serial }),
            Ok(Err(CodeError::Cancelled)) => Err(MfaError::Cancelled),
            Ok(Err(error)) => Err(MfaError::Code(error)),
            Err(_) => Err(MfaError::PromptTimeout {
                serial,
                after: self.prompt_timeout,
            }),
        }
    }

    async fn spend(
        &self,
        root: CodeUse,
        base: &SourceCredentials,
        serial: &MfaSerial,
        code: &MfaCode,
    ) -> Result<Session, MfaError> {
        let keys = &base.credentials;
        match (root, self.roles.first()) {
            (CodeUse::Role, Some(role)) => {
                let device = Some((serial, code));
                let call = self
                    .sts
                    .assume_role(keys, false, role, role.duration, device);
                let issued = call.await?;
                let until = Some(issued.expires);
                Ok(self.role_session(issued, role, SessionKind::RoleWithCode, until))
            }
            _ => {
                let call = self
                    .sts
                    .get_session_token(keys, serial, code, self.duration);
                let issued = call.await?;
                Ok(Session {
                    code_needed: Some(issued.expires),
                    credentials: issued.credentials,
                    kind: SessionKind::Mfa,
                    account: serial.account().map(str::to_owned),
                    arn: None,
                    source: SessionSource::Fresh,
                })
            }
        }
    }
}

/// A refused code, with request many were tried.
fn after(attempt: u32, error: MfaError) -> MfaError {
    match error {
        MfaError::InvalidCode { skew, context, .. } => MfaError::InvalidCode {
            attempts: attempt,
            skew,
            context,
        },
        error => error,
    }
}
