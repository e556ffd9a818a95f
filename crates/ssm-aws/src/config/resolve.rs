//! From files, environment and options to the settings in use, in botocore's order of precedence.
//! Pure: no file or variable is read here.

mod chain;
mod profile;
mod settings;
mod source;

use crate::config::environment::Environment;
use crate::config::error::ConfigError;
use crate::config::shared_config::{ConfigFiles, DEFAULT_PROFILE, SharedConfig, missing};
use profile::ProfileView;
pub use settings::{RetryMode, Settings};
pub use source::{PassedOver, Role, Source, Sso};

/// Variables that name the profile, in botocore's order.
const PROFILE_VARIABLES: [&str; 2] = ["AWS_DEFAULT_PROFILE", "AWS_PROFILE"];

/// A program's options, like `--profile`, `--region` and `--endpoint-url` of the AWS CLI. The
/// environment and the files supply the others. An empty profile counts as left out;
/// an empty region counts as unset, and an empty URL is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The profile. Naming one means that the environment's keys are not used.
    pub profile: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The endpoint of every service.
    pub endpoint_url: Option<String>,
}

/// The settings in use for this request. The crate's documentation lists departures from botocore.
///
/// # Errors
/// When a file cannot be parsed, the profile does not exist, or its settings cannot be used.
pub fn resolve(
    files: &ConfigFiles,
    environment: &Environment,
    request: &Request,
) -> Result<Settings, ConfigError> {
    let shared = SharedConfig::new(files)?;
    let asked = request
        .profile
        .as_deref()
        .map(trimmed)
        .filter(|name| !name.is_empty());
    let variable = environment.first(&PROFILE_VARIABLES);
    let (name, from) = match (asked, variable) {
        (Some(name), _) => (Some(name), None),
        (None, Some((from, name))) => (Some(name), Some(from)),
        (None, None) => (None, None),
    };
    let profile = shared.profiles.get(name.unwrap_or(DEFAULT_PROFILE));
    if let (Some(name), None) = (name, profile) {
        return Err(missing(&shared, name, from));
    }
    let view = profile.map(|profile| ProfileView::new(name.unwrap_or(DEFAULT_PROFILE), profile));
    let mut settings = Settings::new(&shared, environment, request, view.as_ref())?;
    chain::follow(&mut settings, &shared, environment, asked.is_some(), view)?;
    settings.role_of_another = another(&settings, &shared, environment);
    Ok(settings)
}

/// Another profile that assumes the same role from another source.
fn another(
    settings: &Settings,
    shared: &SharedConfig,
    environment: &Environment,
) -> Option<String> {
    let [role] = settings.roles.as_slice() else {
        return None;
    };
    let same = |other: &ProfileView<'_>| {
        let mut theirs = settings.clone();
        theirs.roles.clear();
        if chain::follow(&mut theirs, shared, environment, true, Some(*other)).is_err() {
            return false; // an unusable profile conflicts with no other
        }
        let [found] = theirs.roles.as_slice() else {
            return false;
        };
        let alike = found.is_like(role) && theirs.source != settings.source;
        alike && !settings.source.has_same_keys(&theirs.source)
    };
    shared
        .profiles
        .iter()
        .map(|(name, profile)| ProfileView::new(name, profile))
        .find(|other| {
            settings.profile() != Some(other.name) && other.has("role_arn") && same(other)
        })
        .map(|other| other.name.to_owned())
}

fn trimmed(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests;
