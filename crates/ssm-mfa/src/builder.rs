use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::region::Region;
use aws_types::sdk_config::{SharedTimeSource, TimeSource};
use ssm_aws::{AwsConfig, Settings};

use crate::cache::file::FileStore;
use crate::cache::memory::MemoryStore;
use crate::cache::store::SessionStore;
use crate::code::chain::Standard;
use crate::code::mfa_code::MfaCode;
use crate::code::source::MfaCodeSource;
use crate::code::terminal::TerminalPrompt;
use crate::error::MfaError;
use crate::login::run::{Inner, State};
use crate::profile;
use crate::provider::MfaProvider;
use crate::role::RoleSpec;
use crate::serial::MfaSerial;
use crate::settings::Interaction;
use crate::settings::{NamedBy, Strategy};
use crate::sts::Sts;

/// Settings of an [`MfaProvider`].
#[must_use = "nothing is made until `build` is called"]
#[derive(Default)]
pub struct MfaProviderBuilder {
    config: Option<SdkConfig>,
    base: Option<SharedCredentialsProvider>,
    profile: Option<String>,
    region: Option<Region>,
    serial: Option<(MfaSerial, NamedBy)>,
    roles: Vec<RoleSpec>,
    strategy: Strategy,
    duration: Option<Duration>,
    mfa_process: Option<String>,
    passed_over: Option<String>,
    code: Option<MfaCode>,
    #[cfg(feature = "totp")]
    totp: Option<crate::Totp>,
    terminal: TerminalPrompt,
    source: Option<Arc<dyn MfaCodeSource>>,
    store: Option<Arc<dyn SessionStore>>,
    interaction: Interaction,
    prompt_timeout: Option<Duration>,
    max_attempts: Option<u32>,
    clock: Option<SharedTimeSource>,
    #[cfg(feature = "cli-cache")]
    cli_cache: crate::CliCache,
    #[cfg(feature = "cli-cache")]
    cli_key: Option<String>,
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
    /// What a profile of the AWS configuration says: keys, roles, device, region and
    /// `mfa_process`. `base` gives the rest, as [`sts_config`](Self::sts_config) does. What is set
    /// afterwards goes before the profile. See the crate's documentation for the profile's keys.
    ///
    /// Without a name: AWS_PROFILE, or `default`; but keys in the environment go before those, as
    /// in every AWS tool.
    ///
    /// # Errors
    /// When the configuration cannot be read, or the profile cannot be used.
    pub async fn from_profile(name: Option<&str>, base: &SdkConfig) -> Result<Self, MfaError> {
        let aws = profile::load(name).await?;
        let mut builder = Self::of(aws.settings())?.sts_config(base);
        builder.base = profile::base(&aws, name.is_some());
        Ok(builder)
    }

    /// The same of a configuration that is read already: its files are not read again, and its
    /// credentials not fetched again.
    ///
    /// # Errors
    /// When the profile cannot be used.
    pub fn from_aws(aws: &AwsConfig) -> Result<Self, MfaError> {
        let mut builder = Self::of(aws.settings())?.sts_config(aws.sdk_config());
        builder.base = Some(aws.source_credentials().clone());
        Ok(builder)
    }

    fn of(settings: &Settings) -> Result<Self, MfaError> {
        let found = profile::resolve(settings)?;
        Ok(Self {
            profile: found.name,
            region: found.region.map(Region::new),
            serial: found.serial,
            roles: found.roles,
            mfa_process: found.mfa_process,
            passed_over: found.passed_over,
            #[cfg(feature = "cli-cache")]
            cli_key: found.cli_key,
            ..Self::default()
        })
    }

    /// Region, endpoint and transport of STS, and the long-term keys unless
    /// [`base`](Self::base) gives others. Required.
    ///
    /// Of its timeouts the operation timeout holds, for each call of STS and IAM. Default: 30 s for an
    /// attempt.
    pub fn sts_config(mut self, config: &SdkConfig) -> Self {
        self.config = Some(config.clone());
        self
    }

    /// What everything begins with: the long-term keys of the IAM user. Default: those of
    /// [`sts_config`](Self::sts_config).
    pub fn base(mut self, credentials: impl ProvideCredentials + 'static) -> Self {
        self.base = Some(SharedCredentialsProvider::new(credentials));
        self
    }

    /// The user's MFA device. Without one there is no code, and a role is taken on without MFA.
    pub fn serial(mut self, serial: MfaSerial) -> Self {
        self.serial = Some((serial, NamedBy::Role));
        #[cfg(feature = "cli-cache")]
        {
            self.cli_key = None; // the CLI would not use this device
        }
        self
    }

    /// A role to take on, instead of the user's own session. Called again: a role to take on from
    /// there.
    pub fn role(mut self, role: RoleSpec) -> Self {
        self.roles.push(role);
        #[cfg(feature = "cli-cache")]
        {
            self.cli_key = None; // the CLI would not take on this role
        }
        self
    }

    /// What the code is spent on. Default [`Strategy::Auto`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How long an MFA session lasts: 15 minutes to 36 hours. Default 12 hours.
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// A code that is there already, such as one of the command line. It is good for one request;
    /// for the next, the sources after it are asked.
    pub fn code(mut self, code: MfaCode) -> Self {
        self.code = Some(code);
        self
    }

    /// Makes codes on this machine, when the profile has no `mfa_process`.
    #[cfg(feature = "totp")]
    pub fn totp(mut self, totp: crate::Totp) -> Self {
        self.totp = Some(totp);
        self
    }

    /// How the terminal is asked on.
    pub fn terminal(mut self, prompt: TerminalPrompt) -> Self {
        self.terminal = prompt;
        self
    }

    /// Where codes come from. Default: [`code`](Self::code), the environment variable
    /// `SSM_TUNNEL_MFA_CODE` (for one request), the profile's `mfa_process`, `totp` (with that
    /// feature), the terminal, the program of `SSM_TUNNEL_ASKPASS` or `SSH_ASKPASS`; the first that
    /// has a code gives it.
    pub fn code_source(mut self, source: impl MfaCodeSource) -> Self {
        self.source = Some(Arc::new(source));
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

    /// How long a code is waited for. Default 3 minutes.
    pub fn prompt_timeout(mut self, timeout: Duration) -> Self {
        self.prompt_timeout = Some(timeout);
        self
    }

    /// How often a person is asked after wrong codes. Default 3.
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

    /// The clock that expirations go by. Default: that of [`sts_config`](Self::sts_config), or the
    /// system's.
    pub fn clock(mut self, clock: impl TimeSource + 'static) -> Self {
        self.clock = Some(SharedTimeSource::new(clock));
        self
    }

    /// The provider; nothing is asked or called yet.
    ///
    /// # Errors
    /// When a required setting is missing or one cannot work.
    pub fn build(self) -> Result<MfaProvider, MfaError> {
        let (config, base) = self.base_settings()?;
        let duration = self.duration.unwrap_or(Duration::from_secs(43_200));
        // AWS STS API Reference, GetSessionToken, `DurationSeconds`.
        if !(900..=129_600).contains(&duration.as_secs()) {
            return Err(MfaError::Settings(format!(
                "an MFA session lasts 900 to 129600 seconds (15 minutes to 36 hours), not {}",
                duration.as_secs()
            )));
        }
        for role in &self.roles {
            role.check()?;
        }
        if self.strategy == Strategy::Direct && self.roles.is_empty() {
            return Err(MfaError::Settings(
                "the strategy Direct spends the code on a role, and there is none".to_owned(),
            ));
        }
        let clock = self
            .clock
            .or_else(|| config.time_source())
            .unwrap_or_default();
        let source = match self.source {
            Some(source) => source,
            None => Arc::new(
                Standard {
                    code: self.code,
                    profile: self.profile.clone(),
                    mfa_process: self.mfa_process,
                    #[cfg(feature = "totp")]
                    totp: self.totp,
                    terminal: self.terminal,
                }
                .source()?,
            ),
        };
        let sts = Sts::new(&config, base, self.profile.clone(), clock.clone())?;
        // The CLI's key forgets the endpoint: what AWS issued would be sent to any other, and what
        // another issued would be taken for AWS's.
        #[cfg(feature = "cli-cache")]
        let cli = match (self.cli_key, self.roles.as_slice()) {
            (Some(key), [role]) if sts.endpoint().is_none() => {
                crate::cache::cli_cache::Place::new(self.cli_cache, key, role.clone())
            }
            _ => None,
        };
        Ok(MfaProvider::new(Inner {
            #[cfg(feature = "cli-cache")]
            cli,
            sts,
            profile: self.profile,
            region: self.region,
            serial: self.serial,
            passed_over: self.passed_over,
            roles: self.roles,
            strategy: self.strategy,
            duration,
            source,
            store: self.store.unwrap_or_else(standard_store),
            interaction: self.interaction,
            prompt_timeout: self.prompt_timeout.unwrap_or(Duration::from_secs(180)),
            max_attempts: self.max_attempts.unwrap_or(3).max(1),
            clock,
            state: Mutex::new(State::default()),
        }))
    }

    /// How AWS is called, and with which keys.
    fn base_settings(&self) -> Result<(SdkConfig, SharedCredentialsProvider), MfaError> {
        let mut config = self.config.clone().ok_or_else(|| {
            MfaError::Settings("the MFA provider has no STS configuration".to_owned())
        })?;
        if config.region().is_none() {
            config = config.into_builder().region(self.region.clone()).build();
        }
        let base = self.base.clone().or_else(|| config.credentials_provider());
        let base = base.ok_or_else(|| MfaError::NoBase("none are configured".to_owned()))?;
        Ok((config, base))
    }

    /// For calls ahead of the provider.
    #[cfg(feature = "discover")]
    pub(crate) fn calls(&self) -> Result<(SdkConfig, Sts, SharedTimeSource), MfaError> {
        let (config, base) = self.base_settings()?;
        let clock = self.clock.clone().or_else(|| config.time_source());
        let clock = clock.unwrap_or_default();
        let sts = Sts::new(&config, base, self.profile.clone(), clock.clone())?;
        Ok((config, sts, clock))
    }

    /// Tells the person whom codes are asked of.
    #[cfg(feature = "discover")]
    pub(crate) fn notice(&self, text: &str) {
        match &self.source {
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
    fn the_aws_clis_cache_is_for_awss_own_endpoints() {
        let shares = |endpoint: Option<&str>| {
            let mut config = SdkConfig::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("eu-west-1"));
            config.set_endpoint_url(endpoint.map(str::to_owned));
            let mut builder = MfaProviderBuilder::default()
                .sts_config(&config.build())
                .base(Credentials::new(
                    "AKIAEXAMPLE",
                    "secret",
                    None,
                    None,
                    "test",
                ))
                .role(RoleSpec::new("arn:aws:iam::123456789012:role/dev"))
                .cli_cache(crate::CliCache::ReadWrite);
            builder.cli_key = Some("key".to_owned());
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
