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
use crate::login::run::Inner;
use crate::login::single_flight::Flight;
use crate::session::{MARGIN, Session, SessionInfo, SessionKind};
use crate::settings::{Interaction, LoginRequest};

/// Less than this left at login is worth a warning.
const SOON: Duration = Duration::from_secs(600);
/// How often it is looked whether another program logged in, and whether the clock was set.
const GLANCE: Duration = Duration::from_secs(60);

/// Credentials under MFA: one prompt, however many callers, programs and roles.
///
/// Clones share the session. Call [`login`](Self::login) before the first SDK call: a prompt
/// inside one is cut short by that client's operation timeout, if it has one.
#[derive(Clone)]
pub struct MfaProvider {
    inner: Arc<Inner>,
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
        self.inner.cli.is_some()
    }

    /// The same of a configuration that is read already, as [`MfaProviderBuilder::from_aws`] takes
    /// it.
    ///
    /// # Errors
    /// When the profile cannot be used.
    pub fn from_aws(aws: &ssm_aws::AwsConfig) -> Result<Self, MfaError> {
        MfaProviderBuilder::from_aws(aws)?.build()
    }

    pub(crate) fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Makes sure that there are credentials, asking for a code if there are none with more than
    /// five minutes left.
    ///
    /// # Errors
    /// Why there are none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn login(&self) -> Result<SessionInfo, MfaError> {
        let request = LoginRequest {
            may_prompt: self.inner.interaction != Interaction::Never,
            force_new: false,
        };
        let info = self.inner.told(&self.session(request).await?);
        if let Some(needed) = info.code_needed {
            let left = needed.duration_since(self.inner.now()).unwrap_or_default();
            if left < SOON {
                let secs = left.as_secs();
                tracing::warn!(secs, "the MFA session ends soon");
                let text = format!("the MFA session ends in {} min", secs.div_ceil(60));
                self.inner.source.notice(&text);
            }
        }
        Ok(info)
    }

    /// Starts a new session whatever there is, asking for a code.
    ///
    /// # Errors
    /// Why there is none; the old session stays then.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn renew(&self) -> Result<SessionInfo, MfaError> {
        let request = LoginRequest {
            may_prompt: self.inner.interaction != Interaction::Never,
            force_new: true,
        };
        Ok(self.inner.told(&Flight::fly(&self.inner, request).await?))
    }

    /// The session there is, here or in the store, if any; never asks, never calls STS.
    ///
    /// # Errors
    /// When the credentials to begin with are not to be had: the store goes by them.
    pub async fn peek(&self) -> Result<Option<SessionInfo>, MfaError> {
        let now = self.inner.now();
        if let Some(session) = self.usable() {
            return Ok(Some(self.inner.told(&session)));
        }
        if self.inner.serial.is_some() {
            let base = self.inner.sts.base().await?;
            let identity = self.inner.identity(&base);
            if let Some(found) = self.inner.find(&identity).await {
                return Ok(Some(self.inner.told(&found)));
            }
        }
        let last = self.inner.lock().session.clone();
        Ok(last
            .filter(|last| last.is_valid(now))
            .map(|last| self.inner.told(&last)))
    }

    /// Forgets the session, here and in the store. AWS accepts it until it expires all the same:
    /// there is no call that ends one.
    ///
    /// # Errors
    /// When something stays in the store.
    pub async fn logout(&self) -> Result<(), MfaError> {
        let base = self.inner.sts.base().await?;
        let identity = self.inner.identity(&base);
        self.inner.clear();
        let keeper = self.inner.cache();
        for key in self.inner.keys(&identity) {
            keeper.remove(key).await.map_err(|error| MfaError::Store {
                path: error.path,
                problem: error.problem,
            })?;
        }
        Ok(())
    }

    /// Waits until a code is going to be needed within `ahead`: time to tell whoever relies on the
    /// credentials, such as a tunnel that could not be resumed afterwards. A login elsewhere on
    /// this machine counts. It waits for ever when no code is ever needed.
    pub async fn code_needed_within(&self, ahead: Duration) -> SessionInfo {
        loop {
            let mut wait = GLANCE;
            if let Some(info) = self.latest().await
                && let Some(needed) = info.code_needed
            {
                let left = needed.duration_since(self.inner.now()).unwrap_or_default();
                match left.checked_sub(ahead) {
                    None | Some(Duration::ZERO) => return info,
                    Some(rest) => wait = wait.min(rest),
                }
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// What may help after a service denied a call made with these credentials: `None` when they
    /// are under MFA already. It is a guess, since a denial does not say what it is for.
    pub fn hint_after_denial(&self) -> Option<String> {
        let (kind, temporary) = match &self.inner.lock().session {
            Some(session) => (
                Some(session.kind),
                session.credentials.session_token().is_some(),
            ),
            None => (None, false),
        };
        let without = matches!(
            kind,
            None | Some(SessionKind::Configured | SessionKind::RoleWithoutMfa)
        );
        if !without {
            return None;
        }
        let profile = self.inner.passed_over.as_deref();
        let section = match profile.or(self.inner.profile.as_deref()) {
            Some("default") => "[default]".to_owned(),
            Some(name) => format!("[profile {name}]"),
            None => "the profile".to_owned(),
        };
        if let Some(profile) = &self.inner.passed_over {
            return Some(format!(
                "the keys are those of AWS_ACCESS_KEY_ID, which go before {section}: its MFA device or role is not in use; ask for profile {profile} by name, or unset the variables"
            ));
        }
        if temporary && kind == Some(SessionKind::Configured) {
            return Some(
                "the policy may demand MFA, and these are the keys of a session that may have been started without: start it with a code, or use the user's own keys".to_owned(),
            );
        }
        Some(match &self.inner.serial {
            Some((serial, _)) => {
                format!("the policy may demand MFA: log in with a code of {serial} first")
            }
            None => format!(
                "the policy may demand MFA, and these credentials are without: add `mfa_serial = arn:aws:iam::ACCOUNT:mfa/DEVICE` to {section}, or set AWS_MFA_SERIAL"
            ),
        })
    }

    /// `base` with this provider as its credentials, and an identity cache that waits for a
    /// person and renews ahead of expiry; its other settings, timeouts too, stay as they are. A
    /// region that it lacks comes from the profile.
    pub fn sdk_config(&self, base: &SdkConfig) -> SdkConfig {
        let cache = IdentityCache::lazy()
            .load_timeout(self.inner.patience())
            .buffer_time(MARGIN);
        let region = base.region().or(self.inner.region.as_ref()).cloned();
        base.to_builder()
            .region(region)
            .credentials_provider(SharedCredentialsProvider::new(self.clone()))
            .identity_cache(cache.build())
            .build()
    }

    async fn session(&self, request: LoginRequest) -> Result<Session, MfaError> {
        if let Some(session) = self.usable() {
            return Ok(session);
        }
        let outcome = Flight::fly(&self.inner, request).await;
        let last = self.inner.lock().session.clone();
        match (outcome, last) {
            // There may be better luck later.
            (Err(error), Some(last)) if error.is_retryable() && last.is_valid(self.inner.now()) => {
                tracing::warn!(%error, "the credentials are not renewed yet");
                Ok(last)
            }
            (outcome, _) => outcome,
        }
    }

    /// The session in memory, if it has more than the margin left. Credentials that were only
    /// passed on are asked for again: they may have changed.
    fn usable(&self) -> Option<Session> {
        let now = self.inner.now();
        let state = self.inner.lock();
        let session = state.session.as_ref()?;
        let kept = session.kind != SessionKind::Configured && session.is_fresh(now);
        kept.then(|| session.clone())
    }

    /// As [`peek`](Self::peek), but of a session and one that another program started since, the
    /// one that lasts longer.
    async fn latest(&self) -> Option<SessionInfo> {
        let here = self.inner.lock().session.as_ref().map(Session::info);
        let needed = here.as_ref().and_then(|info| info.code_needed);
        match self.inner.newer(needed).await {
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
                may_prompt: self.inner.interaction == Interaction::Always,
                force_new: false,
            };
            match self.session(request).await {
                Ok(session) => Ok(session.credentials),
                Err(error) => match self.fallback_on_interrupt() {
                    // Not renewed ahead of time; there may be better luck later.
                    Some(credentials) => {
                        tracing::warn!(%error, "the credentials are not renewed yet");
                        Ok(credentials)
                    }
                    None => Err(CredentialsError::provider_error(error)),
                },
            }
        })
    }

    /// The SDK gave up waiting: what is still valid is still good.
    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        let now = self.inner.now();
        let session = self.inner.lock().session.clone()?;
        session.is_valid(now).then_some(session.credentials)
    }
}

impl fmt::Debug for MfaProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = self.inner.lock().session.as_ref().map(Session::info);
        f.debug_struct("MfaProvider")
            .field("profile", &self.inner.profile)
            .field("serial", &self.inner.serial)
            .field("roles", &self.inner.roles)
            .field("session", &session)
            .finish_non_exhaustive()
    }
}
