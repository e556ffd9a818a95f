//! A session, and what callers are told of it.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;

/// Credentials that take a code are replaced when less than this is left.
pub(crate) const MARGIN: Duration = Duration::from_secs(300);
/// Credentials that take no code are replaced earlier: before their user warns of their end, which
/// ssm-session does at 10 minutes.
const SILENT_MARGIN: Duration = Duration::from_secs(660);

/// A session without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// What kind of credentials these are.
    pub kind: SessionKind,
    /// The account, if known.
    pub account: Option<String>,
    /// ARN of the role session, if it is one.
    pub arn: Option<String>,
    /// The session's access key id.
    pub access_key_id: String,
    /// When these credentials expire. Those of a role assumed from an MFA session are renewed without
    /// a code.
    pub expires: Option<SystemTime>,
    /// When the next code is needed; `None` if none ever is.
    pub code_needed: Option<SystemTime>,
    /// Where the credentials came from.
    pub source: SessionSource,
    /// The profile whose `mfa_serial` or role is not in use, because keys in the environment take
    /// precedence over a profile that is not requested by name.
    pub passed_over: Option<String>,
}

/// A kind of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionKind {
    /// An MFA session of an IAM user (STS GetSessionToken).
    Mfa,
    /// A role's session, assumed from an MFA session and renewed without a code.
    Role,
    /// A role's session, assumed with a code.
    RoleWithCode,
    /// A role's session, assumed without MFA.
    RoleWithoutMfa,
    /// The configured credentials as they are: no MFA device is configured.
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
