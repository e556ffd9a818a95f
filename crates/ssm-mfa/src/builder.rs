use std::hash::RandomState;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use crate::error::MfaError;
use crate::provider::{Inner, MfaProvider, State};
use crate::serial::MfaSerial;
use crate::source::MfaCodeSource;
use crate::sts::Sts;
use crate::terminal::TerminalPrompt;

/// Settings of an [`MfaProvider`].
#[must_use = "nothing is made until `build` is called"]
#[derive(Default)]
pub struct MfaProviderBuilder {
    config: Option<SdkConfig>,
    base: Option<SharedCredentialsProvider>,
    serial: Option<MfaSerial>,
    duration: Option<Duration>,
    source: Option<Arc<dyn MfaCodeSource>>,
    prompt_timeout: Option<Duration>,
    max_attempts: Option<u32>,
}

impl std::fmt::Debug for MfaProviderBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MfaProviderBuilder")
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

impl MfaProviderBuilder {
    /// Region, endpoint and transport of STS, and the long-term keys unless
    /// [`base`](Self::base) gives others. Required.
    pub fn sts_config(mut self, config: &SdkConfig) -> Self {
        self.config = Some(config.clone());
        self
    }

    /// The long-term keys of the IAM user. Default: those of [`sts_config`](Self::sts_config).
    pub fn base(mut self, credentials: impl ProvideCredentials + 'static) -> Self {
        self.base = Some(SharedCredentialsProvider::new(credentials));
        self
    }

    /// The user's MFA device. Required.
    pub fn serial(mut self, serial: MfaSerial) -> Self {
        self.serial = Some(serial);
        self
    }

    /// How long a session lasts: 15 minutes to 36 hours. Default 12 hours.
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Where codes come from. Default [`TerminalPrompt`].
    pub fn code_source(mut self, source: impl MfaCodeSource) -> Self {
        self.source = Some(Arc::new(source));
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

    /// The provider; nothing is asked or called yet.
    ///
    /// # Errors
    /// When a required setting is missing or one cannot work.
    pub fn build(self) -> Result<MfaProvider, MfaError> {
        let missing = |what: &str| MfaError::Settings(format!("the MFA provider has no {what}"));
        let config = self.config.ok_or_else(|| missing("STS configuration"))?;
        let base = match self.base.or_else(|| config.credentials_provider()) {
            Some(base) => base,
            None => return Err(MfaError::NoBase("none are configured".to_owned())),
        };
        let duration = self.duration.unwrap_or(Duration::from_secs(43_200));
        // AWS STS API Reference, GetSessionToken, `DurationSeconds`.
        if !(900..=129_600).contains(&duration.as_secs()) {
            return Err(MfaError::Settings(format!(
                "an MFA session lasts 15 minutes to 36 hours, not {duration:?}"
            )));
        }
        Ok(MfaProvider::new(Inner {
            sts: Sts::new(&config, base)?,
            serial: self.serial.ok_or_else(|| missing("device serial number"))?,
            duration,
            source: self
                .source
                .unwrap_or_else(|| Arc::new(TerminalPrompt::new())),
            prompt_timeout: self.prompt_timeout.unwrap_or(Duration::from_secs(180)),
            max_attempts: self.max_attempts.unwrap_or(3).max(1),
            state: Mutex::new(State::default()),
            salt: RandomState::new(),
        }))
    }
}
