//! The provider of credentials under MFA.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::identity::IdentityCache;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::builder::MfaProviderBuilder;
use crate::error::MfaError;
use crate::login::run::Login;
use crate::login::single_flight::SingleFlight;
use crate::session::{MARGIN, Session, SessionInfo, SessionKind};
use crate::settings::{Interaction, LoginRequest};

/// Less than this left at login is worth a warning.
const SOON: Duration = Duration::from_secs(600);
/// Interval of checks whether another program logged in, or the clock was set.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Credentials under MFA: one prompt, however many callers, programs and roles.
///
/// Clones share the session. Call [`login`](Self::login) before the first SDK call: a prompt
/// inside one is cut short by that client's operation timeout, if it has one.
#[derive(Clone)]
pub struct MfaProvider {
    inner: Arc<Inner>,
}

struct Inner {
    login: Login,
    flight: SingleFlight<LoginRequest, Result<Session, MfaError>>,
}

impl MfaProvider {
    /// A provider by its settings; see the builder's setters.
    pub fn builder() -> MfaProviderBuilder {
        MfaProviderBuilder::default()
    }

    /// A provider for a profile of the AWS configuration, as
    /// [`MfaProviderBuilder::from_profile`] reads it. One without a device asks nothing, and
    /// passes on the profile's credentials, or takes on its roles without MFA.
    ///
    /// # Errors
    /// When the configuration cannot be read, or the profile cannot be used.
    pub async fn from_profile(name: Option<&str>, base: &SdkConfig) -> Result<Self, MfaError> {
        MfaProviderBuilder::from_profile(name, base).await?.build()
    }

    #[cfg(all(test, feature = "cli-cache"))]
    pub(crate) fn shares_with_cli(&self) -> bool {
        self.inner.login.cli_cache.is_some()
    }

    /// Like [`from_profile`](Self::from_profile), but from a configuration that is loaded already;
    /// see [`MfaProviderBuilder::from_aws`].
    ///
    /// # Errors
    /// When the profile cannot be used.
    pub fn from_aws(aws: &ssm_aws::AwsConfig) -> Result<Self, MfaError> {
        MfaProviderBuilder::from_aws(aws)?.build()
    }

    pub(crate) fn new(login: Login) -> Self {
        Self {
            inner: Arc::new(Inner {
                login,
                flight: SingleFlight::new(),
            }),
        }
    }

    /// Makes sure that there are credentials, asking for a code if none have more than five minutes
    /// left.
    ///
    /// # Errors
    /// Why there are none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn login(&self) -> Result<SessionInfo, MfaError> {
        let login = &self.inner.login;
        let request = LoginRequest {
            may_prompt: login.settings.interaction != Interaction::Never,
            force_new: false,
        };
        let info = login.info(&self.session(request).await?);
        if let Some(needed) = info.code_needed {
            let left = needed.duration_since(login.now()).unwrap_or_default();
            if left < SOON {
                let secs = left.as_secs();
                tracing::warn!(secs, "the MFA session ends soon");
                let text = format!("the MFA session ends in {} min", secs.div_ceil(60));
                login.codes.notice(&text);
            }
        }
        Ok(info)
    }

    /// Asks for a code and starts a new session, even though there may be a usable one.
    ///
    /// # Errors
    /// Why there is no new one; the old session stays.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn renew(&self) -> Result<SessionInfo, MfaError> {
        let login = &self.inner.login;
        let request = LoginRequest {
            may_prompt: login.settings.interaction != Interaction::Never,
            force_new: true,
        };
        Ok(login.info(&self.share(request).await?))
    }

    /// The session in memory or in the store, if any. It never asks and never calls STS.
    ///
    /// # Errors
    /// When the source credentials cannot be had: they decide which session of the store it is.
    pub async fn peek(&self) -> Result<Option<SessionInfo>, MfaError> {
        let login = &self.inner.login;
        let session = match self.usable() {
            Some(session) => Some(session),
            None => login.find_cached().await?,
        };
        let last = || {
            let last = login.current();
            last.filter(|last| last.is_valid(login.now()))
        };
        Ok(session.or_else(last).map(|session| login.info(&session)))
    }

    /// Forgets the session, in memory and in the store. AWS goes on accepting it until it expires:
    /// no call ends a session.
    ///
    /// # Errors
    /// When a session stays in the store.
    pub async fn logout(&self) -> Result<(), MfaError> {
        self.inner.login.forget_all().await
    }

    /// Waits until a code will be needed within `ahead`: time to warn those who rely on the
    /// credentials, such as a tunnel that could not be resumed afterwards. A login by another
    /// program on this machine counts. It waits forever if no code will ever be needed.
    pub async fn code_needed_within(&self, ahead: Duration) -> SessionInfo {
        loop {
            let mut wait = POLL_INTERVAL;
            if let Some(info) = self.latest().await
                && let Some(needed) = info.code_needed
            {
                let now = self.inner.login.now();
                let left = needed.duration_since(now).unwrap_or_default();
                match left.checked_sub(ahead) {
                    None | Some(Duration::ZERO) => return info,
                    Some(rest) => wait = wait.min(rest),
                }
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// What may help after a service denied a call made with these credentials; `None` if they are
    /// under MFA already. It is a guess, since a denial does not state its reason.
    pub fn hint_after_denial(&self) -> Option<String> {
        let current = self.inner.login.current();
        let kind = current.as_ref().map(|session| session.kind);
        let temporary =
            current.is_some_and(|session| session.credentials.session_token().is_some());
        let settings = &self.inner.login.settings;
        let without = matches!(
            kind,
            None | Some(SessionKind::Configured | SessionKind::RoleWithoutMfa)
        );
        if !without {
            return None;
        }
        let profile = settings.passed_over.as_deref();
        let section = match profile.or(settings.profile.as_deref()) {
            Some("default") => "[default]".to_owned(),
            Some(name) => format!("[profile {name}]"),
            None => "the profile".to_owned(),
        };
        if let Some(profile) = &settings.passed_over {
            return Some(format!(
                "the keys are those of AWS_ACCESS_KEY_ID, which take precedence over {section}: its MFA device or role is not in use; ask for profile {profile} by name, or unset the variables"
            ));
        }
        if temporary && kind == Some(SessionKind::Configured) {
            return Some(
                "the policy may demand MFA, and these keys belong to a session that may have been started without MFA: start it with a code, or use the user's own keys".to_owned(),
            );
        }
        Some(match settings.serial() {
            Some(serial) => {
                format!("the policy may demand MFA: log in with a code of {serial} first")
            }
            None => format!(
                "the policy may demand MFA, and these credentials are not under MFA: add `mfa_serial = arn:aws:iam::ACCOUNT:mfa/DEVICE` to {section}, or set AWS_MFA_SERIAL"
            ),
        })
    }

    /// `base` with this provider as its credentials, and with an identity cache that waits for a
    /// person and renews ahead of expiry. Its other settings, including timeouts, stay as they are;
    /// a missing region comes from the profile.
    pub fn sdk_config(&self, base: &SdkConfig) -> SdkConfig {
        let cache = IdentityCache::lazy()
            .load_timeout(self.inner.login.settings.longest_login())
            .buffer_time(MARGIN);
        let region = base.region().or(self.inner.login.settings.region.as_ref());
        base.to_builder()
            .region(region.cloned())
            .credentials_provider(SharedCredentialsProvider::new(self.clone()))
            .identity_cache(cache.build())
            .build()
    }

    async fn session(&self, request: LoginRequest) -> Result<Session, MfaError> {
        if let Some(session) = self.usable() {
            return Ok(session);
        }
        let outcome = self.share(request).await;
        let now = self.inner.login.now();
        match (outcome, self.inner.login.current()) {
            // A later attempt may succeed.
            (Err(error), Some(last)) if error.is_retryable() && last.is_valid(now) => {
                tracing::warn!(%error, "the credentials are not renewed yet");
                Ok(last)
            }
            (outcome, _) => outcome,
        }
    }

    /// The outcome of the login in progress, or of a new one.
    async fn share(&self, request: LoginRequest) -> Result<Session, MfaError> {
        let serves = |ran: LoginRequest, outcome: &Result<Session, MfaError>| {
            // A login that may not ask, for example, fails for those who may.
            ran.covers(request) || (outcome.is_ok() && !request.force_new)
        };
        let start = || {
            let inner = self.inner.clone();
            async move {
                match ssm_aws::caught(inner.login.run(request)).await {
                    Ok(outcome) => outcome,
                    Err(panicked) => Err(MfaError::Sdk {
                        given: inner.login.sts.given(),
                        reason: panicked.to_string(),
                    }),
                }
            }
        };
        let outcome = self.inner.flight.run(request, serves, start).await;
        outcome.unwrap_or(Err(MfaError::Interrupted))
    }

    /// The session in memory, if it has more than the margin left. Configured credentials are
    /// fetched again each time: they may have changed.
    fn usable(&self) -> Option<Session> {
        let session = self.inner.login.current()?;
        let kept = session.kind != SessionKind::Configured;
        (kept && session.is_fresh(self.inner.login.now())).then_some(session)
    }

    /// The session in memory, or one that another program started since and that lasts longer.
    async fn latest(&self) -> Option<SessionInfo> {
        let here = self.inner.login.current().as_ref().map(Session::info);
        let needed = here.as_ref().and_then(|info| info.code_needed);
        match self.inner.login.find_newer(needed).await {
            Some(newer) => Some(newer),
            None => here,
        }
    }
}

impl ProvideCredentials for MfaProvider {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
    where
        Self: 'a,
    {
        ProvideCredentialsFuture::new(async {
            let request = LoginRequest {
                may_prompt: self.inner.login.settings.interaction == Interaction::Always,
                force_new: false,
            };
            match self.session(request).await {
                Ok(session) => Ok(session.credentials),
                Err(error) => match self.fallback_on_interrupt() {
                    // Not renewed ahead of time; a later attempt may succeed.
                    Some(credentials) => {
                        tracing::warn!(%error, "the credentials are not renewed yet");
                        Ok(credentials)
                    }
                    None => Err(CredentialsError::provider_error(error)),
                },
            }
        })
    }

    /// The SDK gave up waiting: the last session, as long as it is valid.
    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        let session = self.inner.login.current()?;
        let valid = session.is_valid(self.inner.login.now());
        valid.then_some(session.credentials)
    }
}

impl fmt::Debug for MfaProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = &self.inner.login;
        f.debug_struct("MfaProvider")
            .field("profile", &login.settings.profile)
            .field("serial", &login.settings.serial())
            .field("roles", &login.settings.roles)
            .field("session", &login.current().as_ref().map(Session::info))
            .finish_non_exhaustive()
    }
}
