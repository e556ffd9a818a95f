use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;

/// Credentials with less left than this are replaced.
pub(crate) const MARGIN: Duration = Duration::from_secs(300);
/// Those that cost nobody a code are replaced earlier: before whoever uses them warns of their end.
/// ssm-relay does so at 10 minutes.
const SILENT_MARGIN: Duration = Duration::from_secs(660);

/// What there is to know of a session, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// What kind of credentials these are.
    pub kind: SessionKind,
    /// The account, where it is known.
    pub account: Option<String>,
    /// ARN of the role's session, if it is one.
    pub arn: Option<String>,
    /// Its access key id.
    pub access_key_id: String,
    /// When these credentials end. Those of a role over an MFA session are renewed without a code.
    pub expires: Option<SystemTime>,
    /// Until when credentials can be had without another code; `None` when no code is ever needed.
    pub code_needed: Option<SystemTime>,
    /// Where they came from.
    pub source: SessionSource,
    /// The profile whose `mfa_serial` or role is not in use: keys in the environment go before a
    /// profile that is not asked for by name.
    pub passed_over: Option<String>,
}

/// What kind of credentials these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionKind {
    /// An MFA session of an IAM user (STS GetSessionToken).
    Mfa,
    /// A role's session, taken on over an MFA session and renewed without a code.
    Role,
    /// A role's session, taken on with a code.
    RoleWithCode,
    /// A role's session, taken on without MFA.
    RoleWithoutMfa,
    /// The credentials as they were configured: no MFA device is.
    Configured,
}

/// Where a session came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionSource {
    /// Started by this provider.
    Fresh,
    /// The store of this crate.
    Cache,
    /// The AWS CLI's cache.
    CliCache,
}

#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) credentials: Credentials,
    pub(crate) kind: SessionKind,
    pub(crate) account: Option<String>,
    pub(crate) arn: Option<String>,
    pub(crate) code_needed: Option<SystemTime>,
    pub(crate) source: SessionSource,
}

impl Session {
    pub(crate) fn info(&self) -> SessionInfo {
        SessionInfo {
            kind: self.kind,
            account: self.account.clone(),
            arn: self.arn.clone(),
            access_key_id: self.credentials.access_key_id().to_owned(),
            expires: self.credentials.expiry(),
            code_needed: self.code_needed,
            source: self.source,
            passed_over: None,
        }
    }

    /// Whether more is left than the margin.
    pub(crate) fn is_fresh(&self, now: SystemTime) -> bool {
        let margin = match self.kind {
            SessionKind::Role | SessionKind::RoleWithoutMfa => SILENT_MARGIN,
            _ => MARGIN,
        };
        self.left(now) > margin
    }

    /// Whether it still works at all.
    pub(crate) fn is_valid(&self, now: SystemTime) -> bool {
        self.left(now) > Duration::ZERO
    }

    fn left(&self, now: SystemTime) -> Duration {
        match self.credentials.expiry() {
            Some(expiry) => expiry.duration_since(now).unwrap_or_default(),
            None => Duration::MAX,
        }
    }
}
