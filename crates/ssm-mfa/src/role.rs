//! A role, and the limits of its arguments.

use std::time::Duration;

use crate::error::MfaError;

/// A role to assume, with the arguments of STS AssumeRole.
///
/// Limits: AWS STS API Reference, AssumeRole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoleSpec {
    /// The role's ARN.
    pub arn: String,
    /// Role session name: 2 to 64 letters, digits and `_+=,.@-`. Default: `ssm-mfa-` and the time.
    pub session_name: Option<String>,
    /// External id that the role's owner demands of those who assume it.
    pub external_id: Option<String>,
    /// Lifetime: 15 minutes to 12 hours, and at most what the role allows. Default 1 hour.
    pub duration: Option<Duration>,
}

impl RoleSpec {
    /// The role with this ARN, and defaults for everything else.
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            session_name: None,
            external_id: None,
            duration: None,
        }
    }

    /// Sets [`session_name`](Self::session_name).
    #[must_use]
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }

    /// Sets [`external_id`](Self::external_id).
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Sets [`duration`](Self::duration).
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Whether STS accepts this role session name.
    pub fn is_session_name(name: &str) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        (2..=64).contains(&name.len()) && name.chars().all(allowed)
    }

    /// Refuses what STS would refuse, before anyone is asked for a code.
    pub(crate) fn check(&self) -> Result<(), MfaError> {
        self.problem()
            .map_or(Ok(()), |(_, problem)| Err(MfaError::Settings(problem)))
    }

    /// The profile key of an invalid value, and what is wrong with it.
    pub(crate) fn problem(&self) -> Option<(&'static str, String)> {
        let of = |what: &str| format!("the role's {what}");
        if parts(&self.arn).is_none() {
            return Some((
                "role_arn",
                format!(
                    "{} is not a role: expected something like arn:aws:iam::123456789012:role/name",
                    self.arn
                ),
            ));
        }
        if let Some(name) = &self.session_name
            && !Self::is_session_name(name)
        {
            let problem = "session name is 2 to 64 of the letters, digits and _+=,.@-";
            return Some(("role_session_name", of(problem)));
        }
        if let Some(id) = &self.external_id
            && !(2..=1224).contains(&id.chars().count())
        {
            return Some((
                "external_id",
                of("external id is 2 to 1224 characters long"),
            ));
        }
        if let Some(duration) = self.duration
            && !(900..=43_200).contains(&duration.as_secs())
        {
            let problem = "session lasts 900 to 43200 seconds (15 minutes to 12 hours)";
            return Some(("duration_seconds", of(problem)));
        }
        None
    }

    /// Whether this is the ARN of a session of this role.
    pub(crate) fn is_role_of(&self, assumed: &str) -> bool {
        let Some((partition, account, name)) = parts(&self.arn) else {
            return false;
        };
        let session = format!("arn:{partition}:sts::{account}:assumed-role/{name}/");
        assumed.starts_with(&session)
    }

    pub(crate) fn account(&self) -> Option<&str> {
        parts(&self.arn).map(|(_, account, _)| account)
    }
}

/// Partition, account and name without path.
fn parts(arn: &str) -> Option<(&str, &str, &str)> {
    let rest = arn.strip_prefix("arn:")?;
    let (partition, rest) = rest.split_once(":iam::")?;
    let (account, path) = rest.split_once(":role/")?;
    let name = path.rsplit('/').next()?;
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    (digits && !partition.is_empty() && !partition.contains(':') && !name.is_empty())
        .then_some((partition, account, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_belongs_to_its_role_in_every_partition() {
        for (role, session) in [
            (
                "arn:aws:iam::123456789012:role/dev",
                "arn:aws:sts::123456789012:assumed-role/dev/taro",
            ),
            (
                "arn:aws-cn:iam::123456789012:role/team/a/dev",
                "arn:aws-cn:sts::123456789012:assumed-role/dev/taro",
            ),
            (
                "arn:aws-iso-b:iam::123456789012:role/dev",
                "arn:aws-iso-b:sts::123456789012:assumed-role/dev/t",
            ),
        ] {
            let role = RoleSpec::new(role);
            assert_eq!(role.problem(), None);
            assert!(role.is_role_of(session), "{session}");
            assert!(!role.is_role_of("arn:aws:sts::123456789012:assumed-role/devother/taro"));
            assert!(!role.is_role_of("arn:aws:sts::999999999999:assumed-role/dev/taro"));
            assert!(!role.is_role_of("arn:aws-us-gov:sts::123456789012:assumed-role/dev/taro"));
        }
    }

    #[test]
    fn invalid_role_names_its_profile_key() {
        let role = || RoleSpec::new("arn:aws:iam::123456789012:role/dev");
        let key = |role: RoleSpec| role.problem().map(|(key, _)| key);
        for arn in [
            "",
            "dev",
            "arn:aws:iam::123456789012:user/dev",
            "arn:aws:iam::1:role/dev",
            "arn:aws:iam::123456789012:role/",
        ] {
            assert_eq!(key(RoleSpec::new(arn)), Some("role_arn"), "{arn}");
        }
        assert_eq!(key(role().session_name("a")), Some("role_session_name"));
        assert_eq!(key(role().session_name("太郎")), Some("role_session_name"));
        assert_eq!(key(role().session_name("a b")), Some("role_session_name"));
        assert_eq!(key(role().external_id("x")), Some("external_id"));
        for secs in [0, 899, 43_201] {
            let long = role().duration(Duration::from_secs(secs));
            assert_eq!(key(long), Some("duration_seconds"), "{secs}");
        }
        assert_eq!(key(role().duration(Duration::from_secs(900))), None);
    }
}
