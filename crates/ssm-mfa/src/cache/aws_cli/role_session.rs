//! The role session with which the AWS CLI started a session of Session Manager.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;
use aws_credential_types::provider::{self, ProvideCredentials};

use crate::cache::aws_cli::entry::{directory, key, read};
use crate::role::RoleSpec;
use crate::serial::MfaSerial;

/// Credentials with less left are useless: a call may take this long.
const MARGIN: Duration = Duration::from_secs(30);

/// The role session with which the AWS CLI started a session of Session Manager, for a program to
/// which the CLI hands that session: it acts as the same caller, without another MFA code.
///
/// The CLI passes no credentials on, but keeps role sessions in its cache. The entry of the
/// profile's role is used only if its role session name is that of the Session Manager session,
/// whose id begins with it (`NAME-0123456789abcdef0`). It is then known to have started exactly this
/// session; therefore STS's endpoint and other profiles with the same role do not matter here,
/// unlike for [`CliCache`](crate::CliCache). Nothing is ever written. Send its credentials only
/// where the CLI sent them: to the endpoint that it called, and to the stream URL in that
/// endpoint's answer.
#[derive(Debug, Clone)]
pub struct CliRoleSession {
    directory: PathBuf,
    key: String,
    role: RoleSpec,
    name: String,
}

impl CliRoleSession {
    /// For this role of a profile, with the `mfa_serial` of the same profile. `None` if the id contains
    /// no caller's name, or there is no home directory.
    pub fn new(role: &RoleSpec, serial: Option<&MfaSerial>, session_id: &str) -> Option<Self> {
        Some(Self {
            directory: directory()?,
            key: key(role, serial),
            role: role.clone(),
            name: caller_name(session_id)?.to_owned(),
        })
    }

    /// The name of the role session that started the Session Manager session with this id.
    pub fn name_in(session_id: &str) -> Option<&str> {
        caller_name(session_id)
    }

    async fn load(&self) -> provider::Result {
        let this = self.clone();
        let read = move || read(&this.directory, &this.key, &this.role);
        let found = tokio::task::spawn_blocking(read).await;
        let session = found
            .map_err(CredentialsError::provider_error)?
            .ok_or_else(|| self.missing("no session of this role"))?;
        let arn = session.arn.as_deref().unwrap_or_default();
        if arn.rsplit('/').next() != Some(self.name.as_str()) {
            return Err(self.missing("a session of this role under another name"));
        }
        let valid = |credentials: &Credentials| {
            let soon = SystemTime::now().checked_add(MARGIN);
            let expiry = credentials.expiry();
            soon.zip(expiry).is_some_and(|(soon, expiry)| expiry > soon)
        };
        if !valid(&session.credentials) {
            return Err(self.missing("an expired session of this role"));
        }
        Ok(session.credentials)
    }

    fn missing(&self, what: &str) -> CredentialsError {
        let (role, name) = (&self.role.arn, &self.name);
        CredentialsError::not_loaded(format!(
            "the AWS CLI's cache has {what} (role {role}, role session name {name})"
        ))
    }
}

impl ProvideCredentials for CliRoleSession {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        ProvideCredentialsFuture::new(self.load())
    }
}

/// Systems Manager names a session after its caller, with a random suffix: the user's name, or the
/// role session's (AWS Systems Manager User Guide, "Additional sample IAM policies for Session
/// Manager").
fn caller_name(session_id: &str) -> Option<&str> {
    let (name, suffix) = session_id.rsplit_once('-')?;
    (!name.is_empty() && !suffix.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    const DEV: &str = "arn:aws:iam::123456789012:role/dev";

    fn session(at: &std::path::Path, role: &RoleSpec, id: &str) -> CliRoleSession {
        CliRoleSession {
            directory: at.to_owned(),
            ..CliRoleSession::new(role, None, id).expect("a caller's name")
        }
    }

    /// As AWS CLI 1.46 writes it.
    fn entry(at: &std::path::Path, role: &RoleSpec, name: &str, expiration: &str) {
        let body = format!(
            r#"{{"Credentials": {{"AccessKeyId": "ASIAX", "SecretAccessKey": "s3cret", "SessionToken": "t0ken", "Expiration": "{expiration}", "AccountId": "123456789012"}}, "AssumedRoleUser": {{"AssumedRoleId": "AROAX:{name}", "Arn": "arn:aws:sts::123456789012:assumed-role/dev/{name}"}}, "ResponseMetadata": {{}}}}"#
        );
        let store = crate::FileStore::at(at);
        let file = format!("{}.json", key(role, None));
        store.put(&file, body.as_bytes()).expect("written");
    }

    #[tokio::test]
    async fn cli_session_is_used_only_under_the_callers_name() {
        let place = tempfile::tempdir().expect("a place");
        let at = place.path().join("cache");
        let dev = RoleSpec::new(DEV);
        let of = |id: &str| session(&at, &dev, id);
        assert!(of("jo-0a1").provide_credentials().await.is_err());
        entry(&at, &dev, "jo", "2099-01-01T00:00:00+00:00");
        let found = of("jo-0a1").provide_credentials().await.expect("there");
        assert_eq!(found.session_token(), Some("t0ken"));
        for other in ["joe-0a1", "j-0a1", "jo-doe-0a1", "x-jo-0a1"] {
            let error = of(other).provide_credentials().await.expect_err(other);
            let text = error.source().map(ToString::to_string);
            assert!(
                text.is_some_and(|it| it.contains("another name")),
                "{other}"
            );
        }
        // The CLI stored it for another role, or for other arguments.
        for role in [
            RoleSpec::new("arn:aws:iam::123456789012:role/ops"),
            dev.clone().session_name("jo"),
            dev.clone().external_id("ext"),
        ] {
            let other = session(&at, &role, "jo-0a1");
            assert!(other.provide_credentials().await.is_err(), "{role:?}");
        }
        entry(&at, &dev, "jo", "2020-01-01T00:00:00Z");
        assert!(of("jo-0a1").provide_credentials().await.is_err());
    }

    #[test]
    fn session_id_without_a_name_has_no_caller() {
        for id in ["", "0a1", "-0a1", "jo-"] {
            assert_eq!(caller_name(id), None, "{id}");
        }
        assert_eq!(
            caller_name("jo.doe@example.com-0a1"),
            Some("jo.doe@example.com")
        );
        assert_eq!(
            caller_name("botocore-session-170-0a1"),
            Some("botocore-session-170")
        );
    }
}
