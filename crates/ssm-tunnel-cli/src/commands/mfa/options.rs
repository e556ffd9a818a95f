//! The options that the commands share, and the MFA provider that they configure.

use std::time::Duration;

use clap::{Args, ValueEnum};
use ssm_mfa::{CliCache, MfaProvider, MfaProviderBuilder, RoleSpec, Strategy, TerminalPrompt};

use crate::account::{device, load, mfa_code};
use crate::output::Format;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Cache {
    Off,
    Read,
    ReadWrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Spend {
    Auto,
    Session,
    Direct,
}

#[derive(Debug, Args)]
pub(super) struct Account {
    /// Profile of the AWS configuration
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// AWS region
    #[arg(long)]
    pub(super) region: Option<String>,
    /// Call STS and IAM here instead of AWS's own endpoints
    #[arg(long, value_name = "URL")]
    pub(super) endpoint_url: Option<String>,
    /// Text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) output: Format,
}

#[derive(Debug, Args)]
pub(super) struct Profile {
    #[command(flatten)]
    pub(super) account: Account,
    /// Serial number of the MFA device, instead of the profile's; `auto` asks IAM, and you if there
    /// are several
    #[arg(long, value_name = "SERIAL")]
    pub(super) mfa_serial: Option<String>,
    /// Assume this role, after the profile's roles
    #[arg(long, value_name = "ARN")]
    pub(super) role_arn: Option<String>,
    /// Seconds that the role's session lasts, or without a role the MFA session
    #[arg(long, value_name = "SECONDS")]
    pub(super) duration: Option<u64>,
    /// What the code is used for: one session for every role, or the role itself
    #[arg(long, value_enum, default_value_t = Spend::Auto)]
    pub(super) strategy: Spend,
    /// Share role sessions with the AWS CLI
    #[arg(long, value_enum, default_value_t = Cache::Read)]
    pub(super) cli_cache: Cache,
}

/// Where the code comes from.
#[derive(Debug, Default, Args)]
pub(super) struct Code {
    /// The code, or - to read it from standard input (other users may see the command line)
    #[arg(long, value_name = "CODE")]
    pub(super) mfa_code: Option<String>,
    /// Do not show the code while it is typed
    #[arg(long)]
    pub(super) hide_code: bool,
}

impl Account {
    pub(super) async fn builder(&self) -> anyhow::Result<MfaProviderBuilder> {
        let profile = self.profile.as_deref();
        let region = self.region.as_deref();
        let aws = load(profile, region, self.endpoint_url.as_deref()).await?;
        Ok(MfaProviderBuilder::from_aws(&aws)?)
    }
}

impl Profile {
    pub(super) async fn provider(&self, code: &Code) -> anyhow::Result<MfaProvider> {
        let mut builder = self
            .account
            .builder()
            .await?
            .terminal(TerminalPrompt::new().hide_code(code.hide_code))
            .strategy(match self.strategy {
                Spend::Auto => Strategy::Auto,
                Spend::Session => Strategy::Session,
                Spend::Direct => Strategy::Direct,
            })
            .cli_cache(match self.cli_cache {
                Cache::Off => CliCache::Off,
                Cache::Read => CliCache::Read,
                Cache::ReadWrite => CliCache::ReadWrite,
            });
        if let Some(serial) = &self.mfa_serial {
            builder = device(builder, serial).await?;
        }
        if let Some(code) = &code.mfa_code {
            builder = builder.code(mfa_code(code)?);
        }
        let duration = self.duration.map(Duration::from_secs);
        match (&self.role_arn, duration) {
            (Some(arn), duration) => {
                let mut role = RoleSpec::new(arn);
                role.duration = duration;
                builder = builder.role(role);
            }
            (None, Some(duration)) => builder = builder.session_duration(duration),
            (None, None) => {}
        }
        Ok(builder.build()?)
    }
}
