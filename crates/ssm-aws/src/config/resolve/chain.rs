//! The order in which credentials are searched for, and the roles to assume: the work of
//! `create_credential_resolver` and `AssumeRoleProvider` in `botocore/credentials.py`.

use std::time::Duration;

use super::profile::ProfileView;
use super::settings::Settings;
use super::source::{PassedOver, Role, Source, Sso};
use crate::config::environment::Environment;
use crate::config::error::ConfigError;
use crate::config::keys::Keys;
use crate::config::shared_config::{SharedConfig, Value, missing};

/// Finds source and roles. `explicit`: the program asked for the profile, so the environment's
/// keys do not count.
pub(super) fn follow(
    settings: &mut Settings,
    shared: &SharedConfig,
    environment: &Environment,
    explicit: bool,
    profile: Option<ProfileView<'_>>,
) -> Result<(), ConfigError> {
    if !explicit && let Some(keys) = environment_keys(environment)? {
        settings.source = Source::Environment(keys);
        settings.passed_over = profile.and_then(passed_over);
        return Ok(());
    }
    // Beside a profile that the program asked for, the environment's keys count only where the
    // profile itself names them (`credential_source`).
    let implied = (!explicit).then_some(environment);
    let Some(profile) = profile else {
        settings.source = web_identity(None, implied)?.unwrap_or(Source::Machine { profile: None });
        return Ok(());
    };
    settings.mfa_process = profile.text("mfa_process")?;
    if takes_role(&profile) {
        return roles(settings, shared, environment, profile);
    }
    settings.source_mfa_serial = serial_of(&profile)?;
    let found = own_credentials(shared, &profile, implied)?;
    settings.source = found.unwrap_or_else(|| Source::Machine {
        profile: Some(profile.name.to_owned()),
    });
    Ok(())
}

/// With the profile's name, for errors about it.
fn serial_of(profile: &ProfileView<'_>) -> Result<Option<(String, String)>, ConfigError> {
    let serial = profile.text("mfa_serial")?;
    Ok(serial.map(|serial| (profile.name.to_owned(), serial)))
}

fn environment_keys(environment: &Environment) -> Result<Option<Keys>, ConfigError> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    let Some(id) = environment.get(ID) else {
        return Ok(None);
    };
    let Some(secret) = environment.get(SECRET) else {
        return Err(ConfigError::Value {
            name: SECRET.to_owned(),
            problem: format!("it is missing beside {ID}: set both, or neither"),
        });
    };
    let token = environment.first(&["AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"]);
    Keys::new((ID, id), (SECRET, secret), token).map(Some)
}

fn passed_over(profile: ProfileView<'_>) -> Option<PassedOver> {
    let text = |key| profile.text(key).ok().flatten();
    let (mfa_serial, role_arn) = (text("mfa_serial"), text("role_arn"));
    (mfa_serial.is_some() || role_arn.is_some()).then(|| PassedOver {
        profile: profile.name.to_owned(),
        mfa_serial,
        role_arn,
    })
}

/// Whether the profile's role is assumed with other credentials. A web identity is a source.
fn takes_role(profile: &ProfileView<'_>) -> bool {
    profile.has("role_arn") && !profile.has("web_identity_token_file")
}

fn has_static_keys(profile: &ProfileView<'_>) -> bool {
    profile.has("aws_access_key_id") || profile.has("aws_secret_access_key")
}

/// Follows a profile with a role through its sources.
fn roles(
    settings: &mut Settings,
    shared: &SharedConfig,
    environment: &Environment,
    first: ProfileView<'_>,
) -> Result<(), ConfigError> {
    let mut visited = vec![first.name];
    let mut profile = first;
    loop {
        settings.roles.insert(0, role(&profile)?);
        let source = profile.text("source_profile")?;
        let named = profile.text("credential_source")?;
        let next = match (source, named) {
            (Some(source), Some(_)) => {
                let problem = "there is credential_source too; a role has one or the other";
                return Err(profile.wrong(Some("source_profile"), Some(&source), problem));
            }
            (None, None) => {
                let problem =
                    "the role has neither source_profile nor credential_source to be assumed with";
                let arn = profile.text("role_arn")?;
                return Err(profile.wrong(Some("role_arn"), arn.as_deref(), problem));
            }
            (None, Some(named)) => {
                settings.source = credential_source(&profile, &named, environment)?;
                return Ok(());
            }
            (Some(source), None) => source,
        };
        let Some((name, found)) = shared.profiles.get_key_value(&next) else {
            let ConfigError::NoProfile { hint, .. } = missing(shared, &next, None) else {
                return Err(profile.wrong(Some("source_profile"), Some(&next), "no such profile"));
            };
            let problem = format!("there is no such profile; {hint}");
            return Err(profile.wrong(Some("source_profile"), Some(&next), problem));
        };
        let source = ProfileView::new(name, found);
        if visited.contains(&source.name) {
            if source.name != profile.name {
                let circle: Vec<String> = visited
                    .iter()
                    .map(|name| crate::printable::printable(name))
                    .collect();
                let problem = format!("the profiles go round in a circle: {}", circle.join(", "));
                return Err(profile.wrong(Some("source_profile"), Some(&next), problem));
            }
            if !has_static_keys(&source) {
                let problem = "the profile is its own source, and has no keys";
                return Err(profile.wrong(Some("source_profile"), Some(&next), problem));
            }
        }
        visited.push(source.name);
        if settings.mfa_process.is_none() {
            settings.mfa_process = source.text("mfa_process")?;
        }
        // A source's own keys take precedence over its role.
        if has_static_keys(&source) || !takes_role(&source) {
            settings.source_mfa_serial = serial_of(&source)?;
            settings.source = own_credentials(shared, &source, None)?.ok_or_else(|| {
                let problem = "it is the source_profile of another profile and has no credentials: no keys, credential_process, sso or login session";
                source.wrong(None, None, problem)
            })?;
            return Ok(());
        }
        profile = source;
    }
}

fn role(profile: &ProfileView<'_>) -> Result<Role, ConfigError> {
    let duration = match profile.text("duration_seconds")? {
        None => None,
        Some(value) => {
            let seconds = crate::config::shared_config::strip(&value)
                .parse()
                .map_err(|_| {
                    let problem = "it is a whole number of seconds, 900 to 43200";
                    profile.wrong(Some("duration_seconds"), Some(&value), problem)
                })?;
            Some(Duration::from_secs(seconds))
        }
    };
    Ok(Role {
        profile: profile.name.to_owned(),
        arn: profile.text("role_arn")?.unwrap_or_default(),
        session_name: profile.text("role_session_name")?,
        external_id: profile.text("external_id")?,
        duration,
        mfa_serial: profile.text("mfa_serial")?,
    })
}

fn credential_source(
    profile: &ProfileView<'_>,
    named: &str,
    environment: &Environment,
) -> Result<Source, ConfigError> {
    let wrong = |problem: &str| profile.wrong(Some("credential_source"), Some(named), problem);
    match named {
        "Ec2InstanceMetadata" => Ok(Source::Ec2Instance),
        "EcsContainer" => Ok(Source::Container),
        "Environment" => environment_keys(environment)?
            .map(Source::Environment)
            .ok_or_else(|| wrong("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")),
        _ => Err(wrong(
            "it is one of Environment, Ec2InstanceMetadata, EcsContainer",
        )),
    }
}

/// A profile's own credentials, in botocore's order (`ProfileProviderBuilder`).
fn own_credentials(
    shared: &SharedConfig,
    profile: &ProfileView<'_>,
    environment: Option<&Environment>,
) -> Result<Option<Source>, ConfigError> {
    let with = |keys| Source::Profile {
        name: profile.name.to_owned(),
        keys,
    };
    if let Some(source) = web_identity(Some(profile), environment)? {
        return Ok(Some(source));
    }
    if let Some(sso) = sso(shared, profile)? {
        return Ok(Some(Source::Sso(sso)));
    }
    if let Some(keys) = profile.keys_of_credentials()? {
        return Ok(Some(with(keys)));
    }
    if let Some(session) = profile.text("login_session")? {
        let profile = profile.name.to_owned();
        return Ok(Some(Source::Login { profile, session }));
    }
    if let Some(command) = profile.text("credential_process")? {
        let profile = profile.name.to_owned();
        return Ok(Some(Source::Process { profile, command }));
    }
    if let Some(keys) = profile.keys_of_config()? {
        return Ok(Some(with(keys)));
    }
    if profile.has("aws_secret_access_key") && !profile.has("aws_access_key_id") {
        let problem = "it is missing beside aws_secret_access_key";
        return Err(profile.wrong(Some("aws_access_key_id"), None, problem));
    }
    Ok(None)
}

fn web_identity(
    profile: Option<&ProfileView<'_>>,
    environment: Option<&Environment>,
) -> Result<Option<Source>, ConfigError> {
    let find = |variable: &'static str, key: &'static str| {
        let set = environment.and_then(|environment| environment.get(variable));
        match (set, profile) {
            (Some(text), _) => crate::config::value::line(variable, text).map(Some),
            (None, Some(profile)) => profile.text(key),
            (None, None) => Ok(None),
        }
    };
    let Some(token_file) = find("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file")? else {
        return Ok(None);
    };
    let Some(role_arn) = find("AWS_ROLE_ARN", "role_arn")? else {
        let problem = "there is a web identity's token and no role to assume with it: set role_arn, or AWS_ROLE_ARN";
        return Err(match profile {
            Some(profile) => {
                profile.wrong(Some("web_identity_token_file"), Some(&token_file), problem)
            }
            None => ConfigError::Value {
                name: "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(),
                problem: problem.to_owned(),
            },
        });
    };
    Ok(Some(Source::WebIdentity {
        role_arn,
        token_file,
        session_name: find("AWS_ROLE_SESSION_NAME", "role_session_name")?,
    }))
}

fn sso(shared: &SharedConfig, profile: &ProfileView<'_>) -> Result<Option<Sso>, ConfigError> {
    if !profile.has("sso_account_id") && !profile.has("sso_role_name") {
        return Ok(None);
    }
    let session = profile.text("sso_session")?;
    let of_session = match &session {
        None => None,
        Some(name) => Some(shared.sso_sessions.get(name).ok_or_else(|| {
            let problem = format!(
                "there is no section [sso-session {}]",
                crate::printable::printable(name)
            );
            profile.wrong(Some("sso_session"), Some(name), problem)
        })?),
    };
    let find = |key: &'static str| {
        let own = profile.text(key)?;
        let shared = match of_session.and_then(|keys| keys.get(key)) {
            Some(Value::Text(text)) if !text.is_empty() => Some(crate::config::value::line(
                &format!("{key} of the sso-session"),
                text,
            )?),
            _ => None,
        };
        match (own, shared) {
            (Some(own), Some(shared)) if own != shared => {
                let problem = "its [sso-session] section says something else";
                Err(profile.wrong(Some(key), Some(&own), problem))
            }
            (own, shared) => own.or(shared).ok_or_else(|| {
                let problem = "it is missing beside the profile's other sso settings";
                profile.wrong(Some(key), None, problem)
            }),
        }
    };
    let region = find("sso_region")?;
    Ok(Some(Sso {
        profile: profile.name.to_owned(),
        start_url: find("sso_start_url")?,
        region: crate::config::value::region(&profile.place("sso_region"), &region)?,
        account_id: find("sso_account_id")?,
        role_name: find("sso_role_name")?,
        session,
    }))
}
