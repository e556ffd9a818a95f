//! What a profile of the AWS configuration asks for. `ssm-aws` reads the files and follows the chain
//! of profiles; this file checks its roles and devices, and finds the device to use.

use aws_credential_types::provider::SharedCredentialsProvider;
use ssm_aws::{AwsConfig, ConfigError, Role, Settings, Source};

use crate::error::MfaError;
use crate::role::RoleSpec;
use crate::serial::MfaSerial;
use crate::settings::{Device, NamedBy};

/// What a profile asks for.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// Name of the profile, unless the credentials are the environment's.
    pub(crate) name: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) device: Option<Device>,
    /// In the order in which they are assumed.
    pub(crate) roles: Vec<RoleSpec>,
    pub(crate) mfa_process: Option<String>,
    /// The profile whose device or role is not used, because keys in the environment take precedence.
    pub(crate) passed_over: Option<String>,
    /// The key of the role's session in the AWS CLI's cache, if the CLI would start the same session,
    /// and no other profile's under that key.
    #[cfg(feature = "cli-cache")]
    pub(crate) cli_key: Option<String>,
}

/// Reads the configuration for this profile, or for the one that the environment selects.
pub(crate) async fn load(name: Option<&str>) -> Result<AwsConfig, MfaError> {
    let loader = ssm_aws::Loader::new().profile(name);
    loader.load().await.map_err(refused)
}

/// The credentials that the chain of roles begins with; `None` if nothing is configured, or only what
/// the program's own configuration has too.
pub(crate) fn source_credentials(
    aws: &AwsConfig,
    by_name: bool,
) -> Option<SharedCredentialsProvider> {
    let settings = aws.settings();
    let keys = matches!(
        settings.source(),
        Source::Environment(_) | Source::Profile { .. }
    );
    let own = by_name || keys || !settings.roles().is_empty();
    own.then(|| aws.source_credentials().clone())
}

/// What the profile of these settings asks for.
///
/// # Errors
/// When a role or device is invalid.
pub(crate) fn resolve(settings: &Settings) -> Result<Resolved, MfaError> {
    let from_env = match settings.environment_mfa_serial() {
        Some(serial) => Some(serial.trim().parse::<MfaSerial>()?),
        None => None,
    };
    let specs: Result<Vec<RoleSpec>, MfaError> = settings.roles().iter().map(spec).collect();
    let serials = settings.roles().iter().map(|role| {
        let serial = role.mfa_serial.as_deref();
        serial
            .map(|text| serial_of(&role.profile, text))
            .transpose()
    });
    let serials: Result<Vec<Option<MfaSerial>>, MfaError> = serials.collect();
    let (roles, serials) = (specs?, serials?);
    let of_source = match (settings.source_profile(), settings.source_mfa_serial()) {
        (Some(profile), Some(text)) => Some(serial_of(profile, text)?),
        _ => None,
    };
    // The profile next to the keys names the device, which belongs to the keys' user.
    let of_role = serials.first().cloned().flatten();
    let of_source = of_source.or_else(|| serials.iter().flatten().next().cloned());
    let named = match (of_role, of_source, from_env) {
        (Some(serial), _, _) => Some((serial, NamedBy::Role)),
        (None, Some(serial), _) => Some((serial, NamedBy::Source)),
        (None, None, Some(serial)) if roles.is_empty() => Some((serial, NamedBy::Source)),
        (None, None, Some(serial)) => Some((serial, NamedBy::Role)),
        (None, None, None) => None,
    };
    let device = named.map(|(serial, named_by)| Device { serial, named_by });
    let passed_over = settings.passed_over();
    let of_environment = matches!(settings.source(), Source::Environment(_)) && roles.is_empty();
    Ok(Resolved {
        name: settings
            .profile()
            .filter(|_| !of_environment)
            .map(str::to_owned),
        region: settings.region().map(str::to_owned),
        device,
        mfa_process: settings.mfa_process().map(str::to_owned),
        passed_over: passed_over.map(|over| over.profile.clone()),
        #[cfg(feature = "cli-cache")]
        cli_key: cli_key(settings, &roles, &serials),
        roles,
    })
}

fn spec(role: &Role) -> Result<RoleSpec, MfaError> {
    let spec = RoleSpec {
        arn: role.arn.trim().to_owned(),
        session_name: role
            .session_name
            .as_deref()
            .map(|name| name.trim().to_owned()),
        external_id: role.external_id.as_deref().map(|id| id.trim().to_owned()),
        duration: role.duration,
    };
    let Some((key, problem)) = spec.problem() else {
        return Ok(spec);
    };
    let value = match key {
        "role_arn" => Some(role.arn.clone()),
        "role_session_name" => role.session_name.clone(),
        "external_id" => role.external_id.clone(),
        _ => role.duration.map(|duration| duration.as_secs().to_string()),
    };
    Err(MfaError::Profile {
        profile: role.profile.clone(),
        key: Some(key),
        value,
        problem,
    })
}

fn serial_of(profile: &str, text: &str) -> Result<MfaSerial, MfaError> {
    text.parse()
        .map_err(|error: crate::InvalidSerial| MfaError::Profile {
            profile: profile.to_owned(),
            key: Some("mfa_serial"),
            value: Some(text.to_owned()),
            problem: error.to_string(),
        })
}

/// The CLI caches the sessions of roles that are assumed with a code. Two profiles with different
/// credentials can share a key, which does not tell whose session it is.
#[cfg(feature = "cli-cache")]
fn cli_key(
    settings: &Settings,
    roles: &[RoleSpec],
    serials: &[Option<MfaSerial>],
) -> Option<String> {
    let ([role], [Some(serial)]) = (roles, serials) else {
        return None;
    };
    if let Some(other) = settings.role_of_another() {
        tracing::warn!(
            other,
            "the AWS CLI mixes this role's sessions up with another profile's: its cache is not used"
        );
        return None;
    }
    Some(crate::cache::aws_cli::entry::key(role, Some(serial)))
}

/// A problem of one profile remains one; the rest concerns the files or the environment.
pub(crate) fn refused(error: ConfigError) -> MfaError {
    match error {
        ConfigError::Profile {
            profile,
            key,
            value,
            problem,
        } => MfaError::Profile {
            profile,
            key,
            value,
            problem,
        },
        ConfigError::NoProfile {
            profile,
            from,
            hint,
        } => MfaError::Profile {
            profile,
            key: None,
            value: None,
            problem: match from {
                Some(variable) => format!("there is no such profile ({variable}); {hint}"),
                None => format!("there is no such profile; {hint}"),
            },
        },
        error => MfaError::Configuration(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
