use std::time::Duration;

use aws_config::profile::{Profile, ProfileSet};
use aws_credential_types::Credentials;
use aws_types::os_shim_internal::Env;

use super::{BaseSource, Resolved};
use crate::acquire::SerialOf;
use crate::error::MfaError;
use crate::role::RoleSpec;
use crate::serial::MfaSerial;

const PROVIDER: &str = "ssm-mfa profile";

/// One profile with a role, on the way to the credentials that it begins with.
struct Hop {
    role: RoleSpec,
    serial: Option<MfaSerial>,
}

/// The end of the way.
struct End {
    base: BaseSource,
    serial: Option<MfaSerial>,
}

pub(super) fn resolve(
    set: &ProfileSet,
    name: Option<&str>,
    env: &Env,
) -> Result<Resolved, MfaError> {
    let variable = |key: &str| env.get(key).ok().filter(|value| !value.trim().is_empty());
    let named = name.is_some() || variable("AWS_PROFILE").is_some();
    let selected = name.unwrap_or_else(|| set.selected_profile());
    let from_env = match variable("AWS_MFA_SERIAL") {
        Some(serial) => Some(serial.parse::<MfaSerial>()?),
        None => None,
    };
    let profile = set.get_profile(selected);
    // As in botocore, whatever keys there are: a name that is not there is a mistake.
    if profile.is_none() && named {
        return Err(wrong(selected, None, None, missing(set)));
    }
    // As in botocore: keys in the environment go before AWS_PROFILE, but not before a profile that
    // was asked for.
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let keys = name.is_none() && keys.iter().all(|key| variable(key).is_some());
    let region = profile.and_then(|profile| profile.get("region"));
    let alone = |base| Resolved {
        name: None,
        region: region.map(str::to_owned),
        serial: from_env.clone().map(|serial| (serial, SerialOf::Role)),
        roles: Vec::new(),
        base,
        mfa_process: None,
        #[cfg(feature = "cli-cache")]
        cli_key: None,
    };
    if keys {
        return Ok(alone(BaseSource::Environment));
    }
    let Some(profile) = profile else {
        return Ok(alone(BaseSource::Program));
    };
    let (mut hops, mut end, mfa_process) = follow(set, profile)?;
    if name.is_none() && hops.is_empty() && matches!(end.base, BaseSource::Profile(_)) {
        // The program's own chain begins with the same profile, and goes on to containers and
        // instances where that has only a region, say.
        end.base = BaseSource::Program;
    }
    #[cfg(feature = "cli-cache")]
    let cli_key = cli_key(set, selected, &hops, &end.base);
    // The device that is used is that of the profile next to the keys whose user it belongs to.
    let of_role = hops.last().and_then(|hop| hop.serial.clone());
    let of_source = || {
        end.serial
            .clone()
            .or_else(|| hops.iter().rev().find_map(|h| h.serial.clone()))
    };
    let serial = match of_role {
        Some(serial) => Some((serial, SerialOf::Role)),
        None if hops.is_empty() => of_source()
            .or(from_env)
            .map(|serial| (serial, SerialOf::Role)),
        None => of_source()
            .map(|serial| (serial, SerialOf::Source))
            .or_else(|| from_env.map(|serial| (serial, SerialOf::Role))),
    };
    hops.reverse();
    Ok(Resolved {
        name: Some(selected.to_owned()),
        region: region.map(str::to_owned),
        serial,
        roles: hops.into_iter().map(|hop| hop.role).collect(),
        base: end.base,
        mfa_process,
        #[cfg(feature = "cli-cache")]
        cli_key,
    })
}

/// From a profile through its sources, outermost role first.
fn follow<'a>(
    set: &'a ProfileSet,
    first: &'a Profile,
) -> Result<(Vec<Hop>, End, Option<String>), MfaError> {
    let mut hops: Vec<Hop> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut mfa_process = None;
    let mut profile = first;
    loop {
        let name = profile.name();
        seen.push(name);
        mfa_process = mfa_process.or_else(|| text(profile, "mfa_process"));
        let is_source = !hops.is_empty();
        // A source's own keys go before its role; a web identity is the SDK's affair.
        let ends = profile.get("role_arn").is_none()
            || profile.get("web_identity_token_file").is_some()
            || (is_source && profile.get("aws_access_key_id").is_some());
        if ends {
            return Ok((hops, end(profile)?, mfa_process));
        }
        hops.push(hop(profile)?);
        let source = profile.get("source_profile");
        let named = profile.get("credential_source");
        let next = match (source, named) {
            (Some(_), Some(_)) => {
                let problem = "there is credential_source too; a role has one or the other";
                return Err(wrong(name, Some("source_profile"), source, problem));
            }
            (None, None) => {
                let problem =
                    "the role has neither source_profile nor credential_source to be taken on with";
                return Err(wrong(
                    name,
                    Some("role_arn"),
                    profile.get("role_arn"),
                    problem,
                ));
            }
            (None, Some(named)) => {
                let base = BaseSource::named(named).ok_or_else(|| {
                    let problem = "it is one of Environment, Ec2InstanceMetadata, EcsContainer";
                    wrong(name, Some("credential_source"), Some(named), problem)
                })?;
                return Ok((hops, End { base, serial: None }, mfa_process));
            }
            (Some(source), None) => source,
        };
        if next == name {
            if profile.get("aws_access_key_id").is_none() {
                let problem = "the profile is its own source, and has no keys";
                return Err(wrong(name, Some("source_profile"), Some(next), problem));
            }
            return Ok((hops, end(profile)?, mfa_process));
        }
        if seen.contains(&next) {
            let problem = format!("the profiles go round in a circle: {}", seen.join(", "));
            return Err(wrong(name, Some("source_profile"), Some(next), problem));
        }
        profile = set
            .get_profile(next)
            .ok_or_else(|| wrong(name, Some("source_profile"), Some(next), missing(set)))?;
    }
}

/// The CLI keeps the sessions of roles that are taken on with a code. Two profiles with different
/// keys can have the same name for theirs; which one it is, nobody can tell.
#[cfg(feature = "cli-cache")]
fn cli_key(set: &ProfileSet, name: &str, hops: &[Hop], base: &BaseSource) -> Option<String> {
    let key = |hops: &[Hop]| match hops {
        [hop] => {
            let serial = hop.serial.as_ref()?;
            Some(crate::cli_cache::key(&hop.role, Some(serial)))
        }
        _ => None,
    };
    let ours = key(hops)?;
    let mixed_up = set
        .profiles()
        .filter(|other| *other != name)
        .filter_map(|other| follow(set, set.get_profile(other)?).ok())
        .any(|(hops, end, _)| {
            key(&hops).as_ref() == Some(&ours) && format!("{:?}", end.base) != format!("{base:?}")
        });
    if mixed_up {
        tracing::warn!(
            profile = name,
            "the AWS CLI mixes this role's sessions up with another profile's: its cache is not used"
        );
        return None;
    }
    Some(ours)
}

fn hop(profile: &Profile) -> Result<Hop, MfaError> {
    let name = profile.name();
    let duration = profile
        .get("duration_seconds")
        .map(|value| {
            value.trim().parse().map(Duration::from_secs).map_err(|_| {
                let problem = "it is a whole number of seconds, 900 to 43200";
                wrong(name, Some("duration_seconds"), Some(value), problem)
            })
        })
        .transpose()?;
    let role = RoleSpec {
        arn: text(profile, "role_arn").unwrap_or_default(),
        session_name: text(profile, "role_session_name"),
        external_id: text(profile, "external_id"),
        duration,
    };
    if let Some((key, problem)) = role.problem() {
        return Err(wrong(name, Some(key), profile.get(key), problem));
    }
    Ok(Hop {
        role,
        serial: serial(profile)?,
    })
}

fn end(profile: &Profile) -> Result<End, MfaError> {
    let name = profile.name();
    let serial = serial(profile)?;
    let id = text(profile, "aws_access_key_id");
    let secret = text(profile, "aws_secret_access_key");
    let base = match (id, secret) {
        (Some(id), Some(secret)) => {
            let token = text(profile, "aws_session_token");
            BaseSource::Keys(Credentials::new(id, secret, token, None, PROVIDER))
        }
        (Some(_), None) => {
            let problem = "it is missing beside aws_access_key_id";
            return Err(wrong(name, Some("aws_secret_access_key"), None, problem));
        }
        (None, Some(_)) => {
            let problem = "it is missing beside aws_secret_access_key";
            return Err(wrong(name, Some("aws_access_key_id"), None, problem));
        }
        (None, None) => BaseSource::Profile(name.to_owned()),
    };
    Ok(End { base, serial })
}

fn serial(profile: &Profile) -> Result<Option<MfaSerial>, MfaError> {
    let Some(value) = profile.get("mfa_serial") else {
        return Ok(None);
    };
    let wrong =
        |error: crate::InvalidSerial| wrong(profile.name(), Some("mfa_serial"), Some(value), error);
    value.parse().map(Some).map_err(wrong)
}

fn text(profile: &Profile, key: &str) -> Option<String> {
    let value = profile.get(key)?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

fn missing(set: &ProfileSet) -> String {
    let mut names: Vec<&str> = set.profiles().collect();
    names.sort_unstable();
    if names.is_empty() {
        return "there is no such profile; the configuration has none at all".to_owned();
    }
    format!("there is no such profile; there are {}", names.join(", "))
}

/// Only for values that are no secrets.
fn wrong(
    profile: &str,
    key: Option<&'static str>,
    value: Option<&str>,
    problem: impl ToString,
) -> MfaError {
    MfaError::Profile {
        profile: profile.to_owned(),
        key,
        value: value.map(str::to_owned),
        problem: problem.to_string(),
    }
}
