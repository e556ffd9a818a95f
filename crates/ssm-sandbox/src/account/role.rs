//! A role: its trust policy and its maximum session duration.

use std::time::Duration;

/// A role that the account's users may assume.
///
/// A sandbox without roles grants every role name, with MFA and for up to 12 hours.
#[derive(Debug, Clone)]
pub struct Role {
    pub(crate) name: String,
    pub(crate) max_session_duration: Duration,
    pub(crate) requires_mfa: bool,
    pub(crate) max_mfa_age: Option<Duration>,
    pub(crate) external_id: Option<String>,
}

impl Role {
    /// A role as AWS makes it, except that its trust policy asks for MFA: sessions of up to 1 hour.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            max_session_duration: Duration::from_secs(3600),
            requires_mfa: true,
            max_mfa_age: None,
            external_id: None,
        }
    }

    /// `MaxSessionDuration`: 1 to 12 hours. Default 1 hour.
    pub fn max_session_duration(mut self, duration: Duration) -> Self {
        self.max_session_duration = duration;
        self
    }

    /// Whether the trust policy asks for MFA (`aws:MultiFactorAuthPresent`), unless the sandbox
    /// does not enforce it at all. Default `true`.
    pub fn requires_mfa(mut self, requires: bool) -> Self {
        self.requires_mfa = requires;
        self
    }

    /// How old the MFA may be (`aws:MultiFactorAuthAge`). Default: any age.
    pub fn max_mfa_age(mut self, age: Duration) -> Self {
        self.max_mfa_age = Some(age);
        self
    }

    /// The `sts:ExternalId` that the trust policy asks for. Default: none.
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }
}

/// What a sandbox without roles grants for every name.
pub(crate) fn any() -> Role {
    Role::new("any").max_session_duration(Duration::from_secs(43_200))
}
