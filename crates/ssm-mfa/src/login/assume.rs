//! Roles taken on one after the other, over a session or with a code of their own.

use std::time::SystemTime;

use super::run::{CHAINED, CodeUse, Inner};
use crate::cache::cache_key::Identity;
use crate::code::source::{CodeError, Reason};
use crate::error::MfaError;
use crate::role::RoleSpec;
use crate::session::{Session, SessionKind, SessionSource};
use crate::settings::{LoginRequest, NamedBy, Strategy};
use crate::sts::{Issued, SourceCredentials};

impl Inner {
    pub(super) async fn without_mfa(&self, base: &SourceCredentials) -> Result<Session, MfaError> {
        let configured = Session {
            credentials: base.credentials.clone(),
            kind: SessionKind::Configured,
            account: None,
            arn: None,
            code_needed: None,
            source: SessionSource::Fresh,
        };
        let (_, outcome) = self
            .take_on(configured, &self.roles, SessionKind::RoleWithoutMfa)
            .await;
        outcome
    }

    /// The role turned the session down, perhaps for its age (`aws:MultiFactorAuthAge`): one fresh
    /// code, once.
    pub(super) async fn with_a_code_of_its_own(
        &self,
        denial: MfaError,
        base: &SourceCredentials,
        identity: &Identity,
        request: LoginRequest,
    ) -> Result<Session, MfaError> {
        let of_role = matches!(self.serial, Some((_, NamedBy::Role)));
        let tried = std::mem::replace(&mut self.lock().wants_code, true);
        if self.strategy != Strategy::Auto || !of_role || !request.may_prompt || tried {
            return Err(denial);
        }
        tracing::info!("the role does not accept the MFA session");
        let direct = self.over(
            CodeUse::Role,
            base,
            identity,
            request,
            Reason::RoleWantsCode,
        );
        match Box::pin(direct).await {
            // Nobody has a code for this; the denial says more.
            Err(MfaError::Code(CodeError::UsedUp) | MfaError::NoTerminal { .. }) => Err(denial),
            outcome => outcome,
        }
    }

    /// Takes on roles one after the other, and tells request many it got.
    pub(super) async fn take_on(
        &self,
        mut session: Session,
        roles: &[RoleSpec],
        kind: SessionKind,
    ) -> (usize, Result<Session, MfaError>) {
        let over_mfa = kind != SessionKind::RoleWithoutMfa;
        for (taken, role) in roles.iter().enumerate() {
            let call = |duration| {
                self.sts
                    .assume_role(&session.credentials, over_mfa, role, duration, None)
            };
            let mut outcome = call(role.duration).await;
            let over_session = session.credentials.session_token().is_some();
            if matches!(outcome, Err(MfaError::DurationTooLong { .. }))
                && over_session
                && role.duration.is_some_and(|asked| asked > CHAINED)
            {
                tracing::warn!(
                    role = role.arn,
                    "a role over a session lasts an hour at most"
                );
                outcome = call(Some(CHAINED)).await;
            }
            match outcome {
                Ok(issued) => session = self.role_session(issued, role, kind, session.code_needed),
                Err(error) => return (taken, Err(error)),
            }
        }
        (roles.len(), Ok(session))
    }

    pub(super) fn role_session(
        &self,
        issued: Issued,
        role: &RoleSpec,
        kind: SessionKind,
        code_needed: Option<SystemTime>,
    ) -> Session {
        Session {
            credentials: issued.credentials,
            kind,
            account: role.account().map(str::to_owned),
            arn: issued.arn,
            code_needed,
            source: SessionSource::Fresh,
        }
    }
}
