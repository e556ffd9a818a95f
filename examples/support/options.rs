//! Options named as the AWS CLI names them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use ssm_aws::{AwsConfig, Loader};
use ssm_tunnel::{CaBundle, Limits, OnSessionEnd, Proxy, TunnelBuilder};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::log;

/// Options of every example that opens a tunnel.
#[derive(Debug, Clone, Args)]
pub struct Aws {
    /// Who asks, and whom.
    #[command(flatten)]
    pub account: Account,
    /// Why the session is started, for the session history
    #[arg(long)]
    pub reason: Option<String>,
    /// How long a lost connection is tried again, in seconds, or `unlimited`
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = budget)]
    pub resume_budget: Budget,
    /// What to do when the session ends for good
    #[arg(long, value_enum, default_value_t = SessionEnd::Stop)]
    pub on_session_end: SessionEnd,
    /// Keep an idle session alive with a message every so many seconds, which defeats the account's
    /// idle time-out
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep_alive: Option<u64>,
}

/// Who asks, whom, and how the program speaks.
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
    /// Call Systems Manager and STS here instead of AWS's own endpoints
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// Open the data channel here instead of where the service says (VPC endpoint)
    #[arg(long, value_name = "URL")]
    pub stream_endpoint: Option<String>,
    /// Text for people, or one JSON object a line for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Append a log to this file (levels by SSM_TUNNEL_LOG, default debug; never secrets)
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// How long a lost connection is tried again; `None` for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(Option<Duration>);

fn budget(text: &str) -> Result<Budget, String> {
    if text == "unlimited" {
        return Ok(Budget(None));
    }
    let seconds = text
        .parse()
        .map_err(|_| "give a number of seconds, or `unlimited`".to_owned())?;
    Ok(Budget(Some(Duration::from_secs(seconds))))
}

/// What to do when the session ends for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SessionEnd {
    /// End too, and say why.
    Stop,
    /// Reset its connections, and start a new session for the next one.
    Restart,
}

/// How an example speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people, those of the AWS CLI where it has any.
    Text,
    /// One JSON object a line, `event` first.
    Json,
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

impl Aws {
    /// The same tunnel with what these options say of it.
    pub fn apply(&self, builder: TunnelBuilder) -> TunnelBuilder {
        let mut limits = Limits::default();
        limits.resume_budget = self.resume_budget.0;
        let mut builder = builder.limits(limits);
        if let Some(seconds) = self.keep_alive {
            builder = builder.keep_alive(Duration::from_secs(seconds));
        }
        if self.on_session_end == SessionEnd::Restart {
            builder = builder.on_session_end(OnSessionEnd::Restart);
        }
        if let Some(reason) = &self.reason {
            builder = builder.reason(reason);
        }
        if let Some(url) = &self.account.stream_endpoint {
            builder = builder.stream_endpoint(url);
        }
        builder
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

/// Appends a log to this file, without secrets.
///
/// # Errors
/// When it cannot be written.
pub fn log_to(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("cannot write the log {}", path.display()))?;
    let levels = std::env::var(log::VARIABLE).unwrap_or_else(|_| "debug".to_owned());
    let filter = log::filter(&levels)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(ssm_terminal::LogWriter::new(file)));
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .init();
    Ok(())
}
