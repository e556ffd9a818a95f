//! Credentials: whose they are, where they come from, and whether they are under MFA.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;

use super::examination::{Examination, Mfa};
use super::report::{Check, CheckName, Status};
use super::target::Permission;
use crate::aws::identity;
use crate::causes::chain;
use crate::error::{PolicyType, ServiceError};
use crate::node::utc;

/// The check, and what other checks need from it.
pub(super) struct Held {
    pub(super) check: Check,
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An access key of an IAM user.
    LongTerm,
    /// Temporary credentials of a role or a session.
    Temporary,
}

impl Examination {
    /// Checks the credentials, and whose they are.
    pub(super) async fn credentials_and_identity(&self) -> (Held, Check) {
        let held = self.credentials().await;
        let identity = match held.kind {
            Some(_) => self.identity().await,
            None => Check::unknown(
                CheckName::Identity,
                "without credentials there is no identity",
            ),
        };
        (held, identity)
    }

    async fn credentials(&self) -> Held {
        let failed = |text: String| {
            Held {
            check: Check::fail(CheckName::Credentials, text).next(
                "name a profile, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or sign in again (aws sso login)",
            ),
            kind: None,
        }
        };
        let Some(provider) = self.access.sdk_config.credentials_provider() else {
            return failed("no AWS credentials are configured".to_owned());
        };
        match self.in_time(provider.provide_credentials()).await {
            Some(Ok(credentials)) => self.held(&credentials),
            Some(Err(error)) => failed(format!(
                "there are no AWS credentials{}: {}",
                self.source(),
                chain(&error)
            )),
            None => failed(format!(
                "the source of the credentials{} did not answer within {:?}",
                self.source(),
                self.deadline
            )),
        }
    }

    fn held(&self, credentials: &Credentials) -> Held {
        let (kind, words) = match credentials.session_token() {
            None => (Kind::LongTerm, "a long-term access key"),
            Some(_) => (Kind::Temporary, "temporary credentials"),
        };
        let id = credentials.access_key_id();
        let ending: String = {
            let skipped = id.chars().count().saturating_sub(4);
            id.chars().skip(skipped).collect()
        };
        let until = credentials.expiry();
        let text = format!("{words}{}, id ending in {ending}", self.source());
        let check = match until {
            Some(until) if until <= SystemTime::now() => Check::fail(
                CheckName::Credentials,
                format!("{text}, expired at {}", utc(until)),
            )
            .next("log in again"),
            Some(until) => Check::pass(
                CheckName::Credentials,
                format!("{text}, until {}", utc(until)),
            ),
            None => Check::pass(CheckName::Credentials, text),
        };
        Held {
            check: check
                .detail("source", &self.credentials_from)
                .detail("access_key_id_ending", ending)
                .detail("temporary", kind == Kind::Temporary)
                .detail("expires", until.map(utc)),
            kind: Some(kind),
        }
    }

    fn source(&self) -> String {
        let of = match self.mfa {
            Mfa::Session { .. } => "of a login with those of",
            _ => "of",
        };
        let source = self.credentials_from.as_ref();
        source.map_or_else(String::new, |source| format!(" {of} the {source}"))
    }

    async fn identity(&self) -> Check {
        const NAME: CheckName = CheckName::Identity;
        let answer = match self
            .in_time(identity::caller(&self.access.sdk_config))
            .await
        {
            Some(answer) => answer,
            None => Err(ServiceError::Timeout {
                action: "GetCallerIdentity",
            }),
        };
        match answer {
            Ok(identity) => Check::pass(
                NAME,
                format!("{}, account {}", identity.arn, identity.account),
            )
            .detail("arn", identity.arn)
            .detail("account", identity.account)
            .detail("user_id", identity.user_id),
            Err(
                error @ (ServiceError::InvalidCredentials { .. }
                | ServiceError::ExpiredToken { .. }
                | ServiceError::Credentials { .. }),
            ) => Check::fail(NAME, error.to_string()),
            // Only the policy of an endpoint or an organization can deny it.
            Err(error) => Check::unknown(NAME, format!("STS could not be asked: {error}")),
        }
    }
}

/// Whether the credentials are under MFA, as far as that can be known.
pub(super) fn mfa(known: &Mfa, held: &Held, permission: &Permission) -> Check {
    const NAME: CheckName = CheckName::Mfa;
    const LOG_IN: &str = "log in with a code of the user's MFA device (crate ssm-mfa)";
    match known {
        Mfa::Session { until } => {
            let over = until.is_some_and(|until| until <= SystemTime::now());
            let status = if over { Status::Fail } else { Status::Pass };
            let text = match until {
                Some(until) => format!("an MFA session, until {}", utc(*until)),
                None => "an MFA session".to_owned(),
            };
            let check = Check::new(NAME, status, text).detail("until", until.map(utc));
            return if over { check.next(LOG_IN) } else { check };
        }
        Mfa::Failed(reason) => {
            return Check::fail(NAME, format!("logging in with MFA failed: {reason}")).next(LOG_IN);
        }
        Mfa::Unknown => {}
    }
    let denial = match permission {
        Permission::Allowed => {
            return Check::pass(
                NAME,
                "no MFA session is known, and none is demanded: StartSession is not denied",
            );
        }
        Permission::Denied(denial) => Some(denial),
        Permission::Unknown => None,
    };
    // A policy that demands MFA denies in this way: by a Deny statement, or by the condition of its Allow.
    let by_user_policy = denial.filter(|denial| {
        matches!(
            denial.policy,
            PolicyType::IdentityBased | PolicyType::Unstated
        )
    });
    match (held.kind, by_user_policy) {
        (Some(Kind::LongTerm), Some(denial)) => {
            let action = denial.action.as_deref().unwrap_or("the call");
            Check::fail(
                NAME,
                format!(
                    "no MFA session: this is a long-term access key, and {action} is denied as it is where a policy demands MFA"
                ),
            )
            .next(LOG_IN)
        }
        (Some(Kind::LongTerm), None) => Check::unknown(
            NAME,
            "no MFA session: this is a long-term access key; whether a policy demands one is not known",
        ),
        (Some(Kind::Temporary), _) => Check::unknown(
            NAME,
            "temporary credentials do not tell whether a code was given for them",
        ),
        (None, _) => Check::unknown(NAME, "there are no credentials"),
    }
}
