//! Roles assumed one from the other's session.

use std::time::SystemTime;

use super::plan::CHAINED_LIMIT;
use crate::error::MfaError;
use crate::role::RoleSpec;
use crate::session::{Session, SessionKind, SessionSource};
use crate::sts::{AssumeRole, Issued, Sts};

/// How far a chain of roles got, and why no further.
pub(super) struct ChainError {
    /// Roles assumed.
    pub(super) assumed: usize,
    pub(super) error: MfaError,
}

/// Assumes these roles, the first from `session` and each from the one before, without a code.
pub(super) async fn assume_chain(
    sts: &Sts,
    mut session: Session,
    roles: &[RoleSpec],
    kind: SessionKind,
) -> Result<Session, ChainError> {
    for (assumed, role) in roles.iter().enumerate() {
        let call = |duration| {
            sts.assume_role(AssumeRole {
                credentials: &session.credentials,
                over_mfa: kind != SessionKind::RoleWithoutMfa,
                role,
                duration,
                device: None,
            })
        };
        let mut outcome = call(role.duration).await;
        let chained = session.credentials.session_token().is_some();
        if matches!(outcome, Err(MfaError::DurationTooLong { .. }))
            && chained
            && role.duration.is_some_and(|asked| asked > CHAINED_LIMIT)
        {
            tracing::warn!(
                role = role.arn,
                "a role assumed from a session lasts an hour at most"
            );
            outcome = call(Some(CHAINED_LIMIT)).await;
        }
        match outcome {
            Ok(issued) => session = role_session(issued, role, kind, session.code_needed),
            Err(error) => return Err(ChainError { assumed, error }),
        }
    }
    Ok(session)
}

/// A role's session that STS issued just now.
pub(super) fn role_session(
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
