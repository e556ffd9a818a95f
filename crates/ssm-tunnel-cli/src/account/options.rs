//! Options named as the AWS CLI names them.

use std::path::PathBuf;

use clap::Args;
use ssm_aws::{AwsConfig, Loader};
use ssm_tunnel::{CaBundle, Proxy};

use super::log::log_to;
use crate::output::Format;

/// Whose credentials, which endpoints, and the format of the output.
#[derive(Debug, Clone, Args)]
pub struct Account {
    /// Profile of the AWS configuration
    #[arg(long)]
    pub profile: Option<String>,
    /// AWS region
    #[arg(long)]
    pub region: Option<String>,
    /// Serial number (ARN) of your MFA device, instead of the profile's mfa_serial; `auto` finds it
    #[arg(long, value_name = "ARN")]
    pub mfa_serial: Option<String>,
    /// The code it shows, or - to read it from standard input (other users may see the command
    /// line); without it you are asked on the terminal when one is needed
    #[arg(long, value_name = "CODE")]
    pub mfa_code: Option<String>,
    /// Endpoint of Systems Manager and STS, instead of AWS's own
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Endpoint of the data channel, instead of the one in the URL that the service returns (VPC endpoint)
    #[arg(long, value_name = "URL")]
    pub stream_endpoint: Option<String>,
    /// Text for people, or one JSON object per line for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Append a log to this file (levels by SSM_TUNNEL_LOG, default debug; never secrets)
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

impl Account {
    /// Region, credentials and endpoints from the options, environment and profile.
    ///
    /// # Errors
    /// When the configuration cannot be read, or cannot work.
    pub async fn load(&self) -> anyhow::Result<AwsConfig> {
        let (profile, region) = (self.profile.as_deref(), self.region.as_deref());
        load(profile, region, self.endpoint_url.as_deref()).await
    }

    /// Starts the log, if one was asked for.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn start_log(&self) -> anyhow::Result<()> {
        match &self.log {
            Some(path) => log_to(path),
            None => Ok(()),
        }
    }
}

/// Region, credentials and endpoints from these options, the environment and the profile.
///
/// # Errors
/// When the configuration cannot be read or cannot work, or a proxy variable cannot be read.
pub async fn load(
    profile: Option<&str>,
    region: Option<&str>,
    endpoint_url: Option<&str>,
) -> anyhow::Result<AwsConfig> {
    let proxy = Proxy::from_env();
    proxy.check()?;
    let loader = Loader::new()
        .profile(profile)
        .region(region)
        .endpoint_url(endpoint_url);
    let loader = ssm_tunnel::aws_loader_through(loader, &proxy);
    Ok(loader.load().await?)
}

/// The certificates of the configuration, for the data channel.
///
/// # Errors
/// When one cannot be used.
pub fn ca_bundle(aws: &AwsConfig) -> anyhow::Result<Option<CaBundle>> {
    Ok(aws.ca_bundle_pem().map(CaBundle::from_pem).transpose()?)
}
