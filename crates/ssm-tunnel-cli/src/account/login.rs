//! Credentials for a tunnel: those of the profile, with MFA if it names a device.

use anyhow::Context as _;
use aws_config::SdkConfig;
use ssm_aws::AwsConfig;
use ssm_mfa::{CliCache, Interaction, MfaCode, MfaProvider, MfaProviderBuilder, SessionInfo};
use ssm_tunnel::{CaBundle, ErrorKind, Tunnel, TunnelBuilder};

use super::options::{self, Account};
use crate::output::Denied;

/// The code given on the command line; `-` reads it from standard input.
///
/// # Errors
/// When it is not six digits.
pub fn mfa_code(text: &str) -> anyhow::Result<MfaCode> {
    if text != "-" {
        return Ok(text.parse()?);
    }
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.context("no code on standard input")?;
    Ok(line.parse()?)
}

/// Sets the device that `--mfa-serial` names; `auto` finds the user's device.
///
/// # Errors
/// When the serial number is invalid, or no device is found.
pub async fn device(
    builder: MfaProviderBuilder,
    serial: &str,
) -> anyhow::Result<MfaProviderBuilder> {
    Ok(match serial {
        "auto" => builder.find_serial().await?,
        serial => builder.serial(serial.parse()?),
    })
}

/// The credentials that the tunnel uses, and where they come from.
#[derive(Debug)]
pub struct Login {
    provider: MfaProvider,
    config: SdkConfig,
    ca_bundle: Option<CaBundle>,
    session: SessionInfo,
}

impl Login {
    /// Asks for a code if the profile names a device and there is no session yet. Later renewals do
    /// not prompt: another program may own the terminal by then.
    ///
    /// # Errors
    /// Why there are no credentials.
    pub async fn new(options: &Account) -> anyhow::Result<Self> {
        Self::with(options, &options.load().await?).await
    }

    /// The same with a configuration that is already loaded.
    ///
    /// # Errors
    /// Why there are no credentials.
    pub async fn with(options: &Account, aws: &AwsConfig) -> anyhow::Result<Self> {
        let mut builder = MfaProviderBuilder::from_aws(aws)?
            .cli_cache(CliCache::Read)
            .interaction(Interaction::LoginOnly);
        if let Some(serial) = &options.mfa_serial {
            builder = device(builder, serial).await?;
        }
        if let Some(code) = &options.mfa_code {
            builder = builder.code(mfa_code(code)?);
        }
        let provider = builder.build()?;
        let session = provider.login().await.context("no credentials")?;
        Ok(Self {
            config: provider.sdk_config(aws.sdk_config()),
            ca_bundle: options::ca_bundle(aws)?,
            provider,
            session,
        })
    }

    /// The kind of session behind the credentials.
    pub fn session(&self) -> &SessionInfo {
        &self.session
    }

    /// The SDK configuration, for the tunnel or any other client.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Opens a tunnel. A denial includes a hint about MFA where one applies.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn open(&self, tunnel: TunnelBuilder) -> anyhow::Result<Tunnel> {
        let tunnel = match &self.ca_bundle {
            Some(bundle) => tunnel.ca_bundle(bundle.clone()),
            None => tunnel,
        };
        let error = match tunnel.open().await {
            Ok(tunnel) => return Ok(tunnel),
            Err(error) => error,
        };
        let denied = error.kind() == ErrorKind::Denied;
        match self.provider.hint_after_denial().filter(|_| denied) {
            Some(hint) => Err(Denied(format!(
                "{error}\nhint: {hint}; `--mfa-serial auto` finds your device"
            ))
            .into()),
            None => Err(error.into()),
        }
    }
}
