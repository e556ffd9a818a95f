//! The sources of credentials, and the roles that are assumed from there.

use std::fmt;
use std::time::Duration;

use crate::config::keys::Keys;

/// A role that a profile names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Role {
    /// The profile.
    pub profile: String,
    /// `role_arn`
    pub arn: String,
    /// `role_session_name`
    pub session_name: Option<String>,
    /// `external_id`
    pub external_id: Option<String>,
    /// `duration_seconds`
    pub duration: Option<Duration>,
    /// `mfa_serial`
    pub mfa_serial: Option<String>,
}

impl Role {
    /// Whether STS is asked for the same session.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let key = |role: &Self| {
            (
                role.arn.clone(),
                role.session_name.clone(),
                role.external_id.clone(),
                role.duration,
                role.mfa_serial.clone(),
            )
        };
        key(self) == key(other)
    }
}

/// The source of the credentials that a chain of roles is assumed with; without roles, of the
/// credentials themselves.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    Environment(Keys),
    /// Keys that stand in a profile.
    Profile {
        /// The profile.
        name: String,
        /// Its keys.
        keys: Keys,
    },
    /// `credential_process`
    Process {
        /// The profile.
        profile: String,
        /// The command line.
        command: String,
    },
    /// `web_identity_token_file`, or AWS_WEB_IDENTITY_TOKEN_FILE.
    WebIdentity {
        /// The role.
        role_arn: String,
        /// The file with the token.
        token_file: String,
        /// The session's name.
        session_name: Option<String>,
    },
    /// `sso_session`, or `sso_start_url`.
    Sso(Sso),
    /// `login_session`
    Login {
        /// The profile.
        profile: String,
        /// Whose session it is.
        session: String,
    },
    /// `credential_source = Ec2InstanceMetadata`
    Ec2Instance,
    /// `credential_source = EcsContainer`
    Container,
    /// Nothing is configured: the container's role, then the instance's.
    Machine {
        /// The profile that has no credentials of its own.
        profile: Option<String>,
    },
}

/// Without the arguments of a process, which may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(keys) => f.debug_tuple("Environment").field(keys).finish(),
            Self::Profile { name, keys } => {
                let mut debug = f.debug_struct("Profile");
                debug.field("name", name).field("keys", keys).finish()
            }
            Self::Process { profile, .. } => {
                let mut debug = f.debug_struct("Process");
                debug.field("profile", profile).finish_non_exhaustive()
            }
            Self::WebIdentity { role_arn, .. } => {
                let mut debug = f.debug_struct("WebIdentity");
                debug.field("role_arn", role_arn).finish_non_exhaustive()
            }
            Self::Sso(sso) => f.debug_tuple("Sso").field(sso).finish(),
            Self::Login { profile, session } => {
                let mut debug = f.debug_struct("Login");
                debug.field("profile", profile).field("session", session);
                debug.finish()
            }
            Self::Ec2Instance => f.write_str("Ec2Instance"),
            Self::Container => f.write_str("Container"),
            Self::Machine { profile } => {
                let mut debug = f.debug_struct("Machine");
                debug.field("profile", profile).finish()
            }
        }
    }
}

impl Source {
    /// Whether both are the same user's keys, under whatever names.
    pub(super) fn has_same_keys(&self, other: &Self) -> bool {
        let id = |source: &Self| match source {
            Self::Environment(keys) | Self::Profile { keys, .. } => {
                Some(keys.access_key_id().to_owned())
            }
            _ => None,
        };
        id(self).is_some() && id(self) == id(other)
    }
}

/// A profile that signs in through IAM Identity Center.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sso {
    /// The profile.
    pub profile: String,
    /// `sso_session`
    pub session: Option<String>,
    /// `sso_start_url`
    pub start_url: String,
    /// `sso_region`
    pub region: String,
    /// `sso_account_id`
    pub account_id: String,
    /// `sso_role_name`
    pub role_name: String,
}

/// A profile whose role or device is not used, because the environment's keys go before it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassedOver {
    /// The profile.
    pub profile: String,
    /// `mfa_serial`
    pub mfa_serial: Option<String>,
    /// `role_arn`
    pub role_arn: Option<String>,
}
