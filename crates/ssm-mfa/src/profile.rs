//! What a profile of the AWS configuration asks for. The SDK ignores `mfa_serial` and
//! `duration_seconds` (aws-sdk-rust #527), so the chain of profiles is followed here, by
//! botocore's rules.

mod base;
mod resolve;

use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

use crate::acquire::SerialOf;
use crate::error::MfaError;
use crate::role::RoleSpec;
use crate::serial::MfaSerial;
pub(crate) use base::BaseSource;

/// What there is to do for a profile.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The profile, unless the credentials are the environment's.
    pub(crate) name: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) serial: Option<(MfaSerial, SerialOf)>,
    /// In the order in which they are taken on.
    pub(crate) roles: Vec<RoleSpec>,
    pub(crate) base: BaseSource,
    pub(crate) mfa_process: Option<String>,
    /// The AWS CLI's name for the role's session, if the CLI would start the same one and no other
    /// profile's under that name.
    #[cfg(feature = "cli-cache")]
    pub(crate) cli_key: Option<String>,
}

/// Reads the configuration: AWS_CONFIG_FILE or `~/.aws/config`, AWS_SHARED_CREDENTIALS_FILE or
/// `~/.aws/credentials`; then AWS_PROFILE, unless a name is given, and AWS_MFA_SERIAL.
pub(crate) async fn load(name: Option<&str>) -> Result<Resolved, MfaError> {
    load_from(&Fs::real(), &Env::real(), name).await
}

async fn load_from(fs: &Fs, env: &Env, name: Option<&str>) -> Result<Resolved, MfaError> {
    let selected = name.map(|name| name.to_owned().into());
    let set = aws_config::profile::load(fs, env, &EnvConfigFiles::default(), selected)
        .await
        .map_err(|error| MfaError::Configuration(crate::sts::chain(&error)))?;
    resolve::resolve(&set, name, env)
}

#[cfg(test)]
mod tests;
