//! Builds a provider. What a setter sets does not depend on when it is called.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::region::Region;
use aws_types::sdk_config::{SharedTimeSource, TimeSource};
use ssm_aws::AwsConfig;

use crate::cache::file::FileStore;
use crate::cache::memory::MemoryStore;
use crate::cache::session_cache::SessionCache;
use crate::cache::store::SessionStore;
use crate::code::chain::StandardOrder;
use crate::code::mfa_code::MfaCode;
use crate::code::source::MfaCodeSource;
use crate::code::terminal::TerminalPrompt;
use crate::error::MfaError;
use crate::login::run::{Login, State};
use crate::profile::{self, Resolved};
use crate::provider::MfaProvider;
use crate::role::RoleSpec;
use crate::serial::MfaSerial;
use crate::settings::{Device, Interaction, NamedBy, Settings, Strategy};
use crate::sts::Sts;

/// Settings of an [`MfaProvider`].
#[must_use = "nothing is made until `build` is called"]
#[derive(Default)]
pub struct MfaProviderBuilder {
    /// What the profile says; the fields below take precedence.
    profile: Resolved,
    config: Option<SdkConfig>,
    source_credentials: Option<SharedCredentialsProvider>,
    serial: Option<MfaSerial>,
    /// After the profile's.
    roles: Vec<RoleSpec>,
    strategy: Strategy,
    session_duration: Option<Duration>,
    code: Option<MfaCode>,
    #[cfg(feature = "totp")]
    totp: Option<crate::Totp>,
    terminal: TerminalPrompt,
    code_source: Option<Arc<dyn MfaCodeSource>>,
    store: Option<Arc<dyn SessionStore>>,
    interaction: Interaction,
    prompt_timeout: Option<Duration>,
    max_attempts: Option<u32>,
    clock: Option<SharedTimeSource>,
    #[cfg(feature = "cli-cache")]
    cli_cache: crate::CliCache,
}

impl std::fmt::Debug for MfaProviderBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MfaProviderBuilder")
            .field("profile", &self.profile)
            .field("serial", &self.serial)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

impl MfaProviderBuilder {
    /// Keys, roles, device, region and `mfa_process` of a profile of the AWS configuration; the
    /// crate's documentation lists the profile's keys. `base` gives the rest, as
    /// [`sts_config`](Self::sts_config) does. The builder's own settings take precedence over the
    /// profile's.
    ///
    /// Without a name: AWS_PROFILE, or `default`; but keys in the environment take precedence over
    /// those, as in every AWS tool.
    ///
    /// # Errors
    /// When the configuration cannot be read, or the profile cannot be used.
    pub async fn from_profile(name: Option<&str>, base: &SdkConfig) -> Result<Self, MfaError> {
        let aws = profile::load(name).await?;
        Ok(Self {
            profile: profile::resolve(aws.settings())?,
            source_credentials: profile::source_credentials(&aws, name.is_some()),
            config: Some(base.clone()),
            ..Self::default()
        })
    }

    /// Like [`from_profile`](Self::from_profile), but from a configuration that is loaded already:
    /// neither its files are read again nor its credentials fetched again.
    ///
    /// # Errors
    /// When the profile cannot be used.
    pub fn from_aws(aws: &AwsConfig) -> Result<Self, MfaError> {
        Ok(Self {
            profile: profile::resolve(aws.settings())?,
            source_credentials: Some(aws.source_credentials().clone()),
            config: Some(aws.sdk_config().clone()),
            ..Self::default()
        })
    }

    /// Region, endpoint and transport of STS, and the long-term keys unless
    /// [`source_credentials`](Self::source_credentials) gives others. Required.
    ///
    /// Of its timeouts, the operation timeout applies to each call of STS and IAM. An attempt may
    /// take 30 s.
    pub fn sts_config(mut self, config: &SdkConfig) -> Self {
        self.config = Some(config.clone());
        self
    }

    /// The credentials that every login begins with: the long-term keys of the IAM user. Default:
    /// the profile's, or those of [`sts_config`](Self::sts_config).
    pub fn source_credentials(mut self, credentials: impl ProvideCredentials + 'static) -> Self {
        self.source_credentials = Some(SharedCredentialsProvider::new(credentials));
        self
    }

    /// The user's MFA device. Default: the profile's. Without a device no code is asked for, and a
    /// role is assumed without MFA.
    pub fn serial(mut self, serial: MfaSerial) -> Self {
        self.serial = Some(serial);
        self
    }

    /// A role to assume instead of using the user's own session. Each further call adds a role that
    /// is assumed from the one before, the first of them from the profile's last role.
    pub fn role(mut self, role: RoleSpec) -> Self {
        self.roles.push(role);
        self
    }

    /// What the code is spent on. Default [`Strategy::Auto`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Lifetime of an MFA session: 15 minutes to 36 hours. Default 12 hours.
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.session_duration = Some(duration);
        self
    }

    /// A code that is known already, for instance from the command line. It serves one request;
    /// after that, the sources that follow it are asked.
    pub fn code(mut self, code: MfaCode) -> Self {
        self.code = Some(code);
        self
    }

    /// Computes codes on this machine, if the profile has no `mfa_process`.
    #[cfg(feature = "totp")]
    pub fn totp(mut self, totp: crate::Totp) -> Self {
        self.totp = Some(totp);
        self
    }

    /// How the prompt on the terminal behaves.
    pub fn terminal(mut self, prompt: TerminalPrompt) -> Self {
        self.terminal = prompt;
        self
    }

    /// Where codes come from. Default: the first that has one of [`code`](Self::code), the
    /// environment variable `SSM_TUNNEL_MFA_CODE` (for one request), the profile's `mfa_process`,
    /// `totp` (with that feature), the terminal, and the program named by `SSM_TUNNEL_ASKPASS` or
    /// `SSH_ASKPASS`.
    pub fn code_source(mut self, source: impl MfaCodeSource) -> Self {
        self.code_source = Some(Arc::new(source));
        self
    }

    /// Where sessions are kept between programs. Default [`FileStore::in_user_cache`].
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// When a code may be asked for. Default [`Interaction::Always`].
    pub fn interaction(mut self, interaction: Interaction) -> Self {
        self.interaction = interaction;
        self
    }

    /// Time allowed for entering a code. Default 3 minutes.
    pub fn prompt_timeout(mut self, timeout: Duration) -> Self {
        self.prompt_timeout = Some(timeout);
        self
    }

    /// Number of codes that a person may try. Default 3, at least 1.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Whether role sessions are shared with the AWS CLI. Default [`CliCache::Off`], and always off
    /// while STS has an endpoint other than AWS's own: the CLI's cache does not record which one
    /// issued a session.
    ///
    /// [`CliCache::Off`]: crate::CliCache::Off
    #[cfg(feature = "cli-cache")]
    pub fn cli_cache(mut self, cache: crate::CliCache) -> Self {
        self.cli_cache = cache;
        self
    }

    /// The clock that expirations are compared with. Default: that of
    /// [`sts_config`](Self::sts_config), or the system's.
    pub fn clock(mut self, clock: impl TimeSource + 'static) -> Self {
        self.clock = Some(SharedTimeSource::new(clock));
        self
    }

    /// The provider. Nothing is asked for or sent yet.
    ///
    /// # Errors
    /// When a required setting is missing, or a setting is invalid.
    pub fn build(self) -> Result<MfaProvider, MfaError> {
        let (_, sts, clock) = self.calls()?;
        let settings = self.settings()?;
        #[cfg(feature = "cli-cache")]
        let cli_cache = self.cli_cache_entry(&sts, &settings.roles);
        let codes = match self.code_source {
            Some(source) => source,
            None => Arc::new(
                StandardOrder {
                    code: self.code,
                    profile: self.profile.name,
                    mfa_process: self.profile.mfa_process,
                    #[cfg(feature = "totp")]
                    totp: self.totp,
                    terminal: self.terminal,
                }
                .chain()?,
            ),
        };
        Ok(MfaProvider::new(Login {
            settings,
            sts,
            codes,
            cache: SessionCache::new(self.store.unwrap_or_else(standard_store)),
            #[cfg(feature = "cli-cache")]
            cli_cache,
            clock,
            state: Mutex::new(State::default()),
        }))
    }

    fn settings(&self) -> Result<Settings, MfaError> {
        let session_duration = self.session_duration.unwrap_or(Duration::from_secs(43_200));
        // AWS STS API Reference, GetSessionToken, `DurationSeconds`.
        if !(900..=129_600).contains(&session_duration.as_secs()) {
            return Err(MfaError::Settings(format!(
                "an MFA session lasts 900 to 129600 seconds (15 minutes to 36 hours), not {}",
                session_duration.as_secs()
            )));
        }
        let roles = [self.profile.roles.as_slice(), &self.roles].concat();
        for role in &roles {
            role.check()?;
        }
        if self.strategy == Strategy::Direct && roles.is_empty() {
            return Err(MfaError::Settings(
                "Strategy::Direct spends the code on a role, but no role is set".to_owned(),
            ));
        }
        let named_here = self.serial.clone().map(|serial| Device {
            serial,
            named_by: NamedBy::Role,
        });
        Ok(Settings {
            profile: self.profile.name.clone(),
            region: self.profile.region.clone().map(Region::new),
            device: named_here.or_else(|| self.profile.device.clone()),
            passed_over: self.profile.passed_over.clone(),
            roles,
            strategy: self.strategy,
            session_duration,
            interaction: self.interaction,
            prompt_timeout: self.prompt_timeout.unwrap_or(Duration::from_secs(180)),
            max_attempts: self.max_attempts.unwrap_or(3).max(1),
        })
    }

    /// The CLI's cache does not record the endpoint: what AWS issued would be sent to any other, and
    /// what another issued would be taken for AWS's. And the CLI uses neither a device nor a role
    /// that was set here.
    #[cfg(feature = "cli-cache")]
    fn cli_cache_entry(
        &self,
        sts: &Sts,
        roles: &[RoleSpec],
    ) -> Option<crate::cache::aws_cli::entry::CliCacheEntry> {
        let of_profile = self.serial.is_none() && self.roles.is_empty();
        let key = self.profile.cli_key.clone().filter(|_| of_profile)?;
        match roles {
            [role] if sts.endpoint().is_none() => {
                crate::cache::aws_cli::entry::CliCacheEntry::new(self.cli_cache, key, role.clone())
            }
            _ => None,
        }
    }

    /// How AWS is called, with the settings that there are so far.
    pub(crate) fn calls(&self) -> Result<(SdkConfig, Sts, SharedTimeSource), MfaError> {
        let mut config = self.config.clone().ok_or_else(|| {
            MfaError::Settings("the MFA provider has no STS configuration".to_owned())
        })?;
        if config.region().is_none() {
            let region = self.profile.region.clone().map(Region::new);
            config = config.into_builder().region(region).build();
        }
        let source = self.source_credentials.clone();
        let source = source.or_else(|| config.credentials_provider());
        let source = source
            .ok_or_else(|| MfaError::NoSourceCredentials("none are configured".to_owned()))?;
        let clock = self.clock.clone().or_else(|| config.time_source());
        let clock = clock.unwrap_or_default();
        let profile = self.profile.name.clone();
        let sts = Sts::new(&config, source, profile, clock.clone())?;
        Ok((config, sts, clock))
    }

    /// Shows a notice where codes are asked for.
    #[cfg(feature = "discover")]
    pub(crate) fn notice(&self, text: &str) {
        match &self.code_source {
            Some(source) => source.notice(text),
            None => self.terminal.notice(text),
        }
    }
}

fn standard_store() -> Arc<dyn SessionStore> {
    match FileStore::in_user_cache() {
        Some(store) => Arc::new(store),
        None => {
            tracing::warn!("no home directory: MFA sessions are not kept between programs");
            Arc::new(MemoryStore::new())
        }
    }
}

#[cfg(all(test, feature = "cli-cache"))]
mod tests {
    use aws_config::BehaviorVersion;
    use aws_credential_types::Credentials;

    use super::*;

    /// The name of the AWS CLI's session is the same at every endpoint.
    #[test]
    fn aws_cli_cache_is_unused_with_a_custom_endpoint() {
        let shares = |endpoint: Option<&str>| {
            let mut config = SdkConfig::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("eu-west-1"));
            config.set_endpoint_url(endpoint.map(str::to_owned));
            let mut builder = MfaProviderBuilder::default()
                .sts_config(&config.build())
                .source_credentials(Credentials::new(
                    "AKIAEXAMPLE",
                    "secret",
                    None,
                    None,
                    "test",
                ))
                .cli_cache(crate::CliCache::ReadWrite);
            builder.profile.cli_key = Some("key".to_owned());
            builder.profile.roles = vec![RoleSpec::new("arn:aws:iam::123456789012:role/dev")];
            let provider = builder.build().expect("complete");
            provider.shares_with_cli()
        };
        assert!(shares(None));
        for endpoint in [
            "http://127.0.0.1:4566",
            "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com",
        ] {
            assert!(!shares(Some(endpoint)), "{endpoint}");
        }
    }
}
