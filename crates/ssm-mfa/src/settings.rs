//! The settings of a provider, fixed once it is built.

use std::time::Duration;

use aws_types::region::Region;

use crate::role::RoleSpec;
use crate::serial::MfaSerial;

/// What a code is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// [`Session`](Self::Session), but [`Direct`](Self::Direct) if the role is to last more than an
    /// hour, if the source credentials are temporary already, or if the role refused the MFA
    /// session.
    #[default]
    Auto,
    /// A session of the user (STS GetSessionToken): one code for all of the user's roles, each of
    /// which lasts up to an hour and is renewed without a code.
    Session,
    /// The role itself (STS AssumeRole): one code for each role, each time it expires.
    Direct,
}

/// When a code may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Interaction {
    /// Whenever one is needed, even in the middle of an SDK call.
    #[default]
    Always,
    /// Only by [`MfaProvider::login`] and [`MfaProvider::renew`]. Without a session, SDK calls fail
    /// with [`MfaError::LoginRequired`].
    ///
    /// [`MfaProvider::login`]: crate::MfaProvider::login
    /// [`MfaProvider::renew`]: crate::MfaProvider::renew
    /// [`MfaError::LoginRequired`]: crate::MfaError::LoginRequired
    LoginOnly,
    /// Never: a login that needs a code fails too.
    Never,
}

/// What a login goes by.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<Region>,
    pub(crate) device: Option<Device>,
    /// The profile whose device or role is not used, because keys in the environment take
    /// precedence over it.
    pub(crate) passed_over: Option<String>,
    /// In the order in which they are assumed.
    pub(crate) roles: Vec<RoleSpec>,
    pub(crate) strategy: Strategy,
    pub(crate) session_duration: Duration,
    pub(crate) interaction: Interaction,
    pub(crate) prompt_timeout: Duration,
    pub(crate) max_attempts: u32,
}

impl Settings {
    /// The device's serial number.
    pub(crate) fn serial(&self) -> Option<&MfaSerial> {
        self.device.as_ref().map(|device| &device.serial)
    }

    /// Longer than all the prompts of one login can take: as many attempts as are allowed, for a
    /// session and then for a role.
    pub(crate) fn longest_login(&self) -> Duration {
        self.prompt_timeout
            .saturating_mul(self.max_attempts)
            .saturating_mul(2)
            .saturating_add(Duration::from_secs(60))
    }
}

/// The user's MFA device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) serial: MfaSerial,
    pub(crate) named_by: NamedBy,
}

/// Which setting names the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The role's profile, or the program: the role can be assumed with a code.
    Role,
    /// The source profile, or AWS_MFA_SERIAL. As in botocore, no role inherits it; but it can start
    /// a session of the user whose keys these are, unless the keys are temporary already.
    Source,
}

/// What one login may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoginRequest {
    pub(crate) may_prompt: bool,
    /// Start a new session even though there is a usable one.
    pub(crate) force_new: bool,
}

impl LoginRequest {
    /// Whether the outcome of this request, good or bad, is also that of the other.
    pub(crate) fn covers(self, other: Self) -> bool {
        (self.may_prompt || !other.may_prompt) && (self.force_new || !other.force_new)
    }
}
