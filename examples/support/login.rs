//! Credentials for a tunnel: of the profile, under MFA where it names a device.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use aws_config::SdkConfig;
use ssm_mfa::{Interaction, MfaProvider, MfaProviderBuilder, StaticCode};
use ssm_tunnel::{Error, ServiceError, Tunnel, TunnelBuilder};

use crate::options::Aws;

/// Long enough to fetch the device and log in again.
const AHEAD: Duration = Duration::from_secs(600);

/// Credentials that the tunnel uses, and what they come from.
#[derive(Debug)]
pub struct Login {
    provider: MfaProvider,
    config: SdkConfig,
}

impl Login {
    /// Asks for a code, if the profile names a device and there is no session yet. Nobody is asked
    /// afterwards: the terminal may be somebody else's by then.
    ///
    /// # Errors
    /// Why there are no credentials.
    pub async fn new(options: &Aws) -> anyhow::Result<Self> {
        let base = options.load().await;
        let mut builder = MfaProviderBuilder::from_profile(options.profile.as_deref(), &base)
            .await?
            .interaction(Interaction::LoginOnly);
        if let Some(serial) = &options.mfa_serial {
            builder = builder.serial(serial.parse()?);
        }
        if let Some(code) = &options.mfa_code {
            builder = builder.code_source(StaticCode::new(code.parse()?));
        }
        let provider = builder.build()?;
        provider.login().await.context("no credentials")?;
        let config = provider.sdk_config(&base);
        Ok(Self { provider, config })
    }

    /// For the tunnel, or any other SDK client.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Opens a tunnel; a denial comes with what may help.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn open(&self, tunnel: TunnelBuilder) -> anyhow::Result<Tunnel> {
        let error = match tunnel.open().await {
            Ok(tunnel) => return Ok(tunnel),
            Err(error) => error,
        };
        let denied = matches!(&error, Error::Service(cause)
            if matches!(**cause, ServiceError::AccessDenied { .. }));
        match self.provider.hint_after_denial().filter(|_| denied) {
            Some(hint) => Err(anyhow::anyhow!("{error}\nhint: {hint}")),
            None => Err(error.into()),
        }
    }

    /// Waits until the session is about to end, and tells what that means.
    pub async fn ends_soon(&self) -> String {
        let info = self.provider.code_needed_within(AHEAD).await;
        let left = info
            .code_needed
            .and_then(|end| end.duration_since(SystemTime::now()).ok());
        format!(
            "The MFA session ends in {} min. What is open stays open, but a connection lost after that \
             cannot be resumed: log in again from another terminal, with the same profile.",
            left.unwrap_or_default().as_secs().div_ceil(60)
        )
    }
}
