//! The settings in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Request;
use super::profile::ProfileView;
use super::source::{PassedOver, Role, Source};
use crate::config::environment::Environment;
use crate::config::error::ConfigError;
use crate::config::shared_config::{Keys, SharedConfig, Value};
use crate::config::value;

/// Endpoints of a service begin with this.
const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";
/// Services whose endpoints are checked when the configuration is read: those that every program
/// here calls.
const CALLED: [&str; 2] = ["ssm", "sts"];

/// How failed calls are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryMode {
    /// `standard`, and what the SDK has for botocore's `legacy`.
    Standard,
    /// `adaptive`
    Adaptive,
}

/// The values in use: those of one profile, overridden by the environment and the program's request.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) profile: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) ca_bundle: Option<(String, PathBuf)>,
    pub(crate) endpoints: Endpoints,
    pub(crate) retry_mode: Option<RetryMode>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) use_fips: Option<bool>,
    pub(crate) use_dual_stack: Option<bool>,
    pub(crate) app_id: Option<String>,
    pub(crate) source: Source,
    /// After the name of its profile.
    pub(crate) source_mfa_serial: Option<(String, String)>,
    pub(crate) environment_mfa_serial: Option<String>,
    pub(crate) role_of_another: Option<String>,
    pub(crate) roles: Vec<Role>,
    pub(crate) mfa_process: Option<String>,
    pub(crate) passed_over: Option<PassedOver>,
}

/// URLs that replace AWS's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Endpoints {
    /// The program's.
    pub(crate) fixed: Option<String>,
    pub(crate) general: Option<String>,
    /// By service, in lower case with underscores.
    pub(crate) services: BTreeMap<String, String>,
}

impl Settings {
    pub(super) fn new(
        shared: &SharedConfig,
        environment: &Environment,
        request: &Request,
        profile: Option<&ProfileView<'_>>,
    ) -> Result<Self, ConfigError> {
        let find =
            |variables: &[&'static str], key: &'static str| match environment.first(variables) {
                Some((name, text)) => Ok(Some((name.to_owned(), value::line(name, text)?))),
                None => match profile {
                    Some(profile) => Ok(profile.text(key)?.map(|text| (profile.place(key), text))),
                    None => Ok(None),
                },
            };
        let region = match &request.region {
            Some(region) => Some(("the region".to_owned(), region.clone())),
            None => find(&["AWS_REGION", "AWS_DEFAULT_REGION"], "region")?,
        };
        let region = region
            .map(|(name, text)| value::region(&name, &text))
            .transpose()?
            .filter(|region| !region.is_empty());
        let ca_bundle = match find(&["AWS_CA_BUNDLE"], "ca_bundle")? {
            None => environment
                .get("REQUESTS_CA_BUNDLE")
                .map(|path| ("REQUESTS_CA_BUNDLE".to_owned(), path.to_owned())),
            found => found,
        };
        let switch = |variable, key| {
            let found = find(&[variable], key)?;
            Ok(found.map(|(_, text)| value::switch(&text)))
        };
        let ignored = switch(
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "ignore_configured_endpoint_urls",
        )?;
        let mut endpoints = Endpoints {
            fixed: request
                .endpoint_url
                .as_deref()
                .map(|url| value::endpoint_url("the endpoint asked for", url))
                .transpose()?,
            ..Endpoints::default()
        };
        if ignored != Some(true) {
            endpoints.configured(shared, environment, profile)?;
        }
        let retry_mode = find(&["AWS_RETRY_MODE"], "retry_mode")?
            .map(retry_mode)
            .transpose()?;
        let max_attempts = find(&["AWS_MAX_ATTEMPTS"], "max_attempts")?
            .map(max_attempts)
            .transpose()?;
        Ok(Self {
            profile: profile.map(|profile| profile.name.to_owned()),
            region,
            ca_bundle: ca_bundle.map(|(name, path)| (name, path.into())),
            endpoints,
            // botocore's `legacy` tries five times.
            max_attempts: max_attempts
                .or_else(|| retry_mode.is_some_and(|(_, legacy)| legacy).then_some(5)),
            retry_mode: retry_mode.map(|(mode, _)| mode),
            use_fips: switch("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")?,
            use_dual_stack: switch("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")?,
            app_id: find(&["AWS_SDK_UA_APP_ID"], "sdk_ua_app_id")?.map(|(_, text)| text),
            source: Source::Machine { profile: None },
            source_mfa_serial: None,
            environment_mfa_serial: environment.get("AWS_MFA_SERIAL").map(str::to_owned),
            role_of_another: None,
            roles: Vec::new(),
            mfa_process: None,
            passed_over: None,
        })
    }

    /// The profile in use; `None` when none is named and there is no `[default]`.
    pub fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// The region.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The file of certificates to trust instead of the system's.
    pub fn ca_bundle(&self) -> Option<&Path> {
        self.ca_bundle.as_ref().map(|(_, path)| path.as_path())
    }

    /// The URL to call a service at instead of AWS's own. The service as in a `services` section:
    /// in lower case, with underscores (`ssm`, `sso_oidc`).
    pub fn endpoint_url(&self, service: &str) -> Option<&str> {
        let Endpoints {
            fixed,
            general,
            services,
        } = &self.endpoints;
        fixed
            .as_deref()
            .or_else(|| services.get(service).map(String::as_str))
            .or(general.as_deref())
    }

    /// The source of the credentials.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The roles to assume, in that order; the profile's own is the last.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// `mfa_serial` of the profile that has the source's credentials. botocore ignores it.
    pub fn source_mfa_serial(&self) -> Option<&str> {
        self.source_mfa_serial
            .as_ref()
            .map(|(_, serial)| serial.as_str())
    }

    /// The profile that [`source_mfa_serial`](Self::source_mfa_serial) comes from.
    pub fn source_profile(&self) -> Option<&str> {
        self.source_mfa_serial
            .as_ref()
            .map(|(profile, _)| profile.as_str())
    }

    /// AWS_MFA_SERIAL, which aws-vault reads: the device to use when no profile in the chain names one.
    pub fn environment_mfa_serial(&self) -> Option<&str> {
        self.environment_mfa_serial.as_deref()
    }

    /// Another profile that assumes the same single role, with the same session name and device, from
    /// other credentials. The AWS CLI keeps both sessions under one name in its cache.
    pub fn role_of_another(&self) -> Option<&str> {
        self.role_of_another.as_deref()
    }

    /// `mfa_process` of the first profile in the chain that has one: the command that prints codes.
    pub fn mfa_process(&self) -> Option<&str> {
        self.mfa_process.as_deref()
    }

    /// The profile whose role or device is not used, because the environment's keys take precedence.
    pub fn passed_over(&self) -> Option<&PassedOver> {
        self.passed_over.as_ref()
    }

    /// How failed calls are repeated, where that is configured.
    pub fn retry_mode(&self) -> Option<RetryMode> {
        self.retry_mode
    }

    /// How often a call is tried at most, where that is configured.
    pub fn max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }
}

impl Endpoints {
    /// botocore's order: the service's variable, the general variable, the profile's `services`
    /// section, the profile (`ConfiguredEndpointProvider` in `botocore/configprovider.py`).
    fn configured(
        &mut self,
        shared: &SharedConfig,
        environment: &Environment,
        profile: Option<&ProfileView<'_>>,
    ) -> Result<(), ConfigError> {
        for (service, url) in environment.beginning("AWS_ENDPOINT_URL_") {
            let name = format!("{ENDPOINT_URL}_{service}");
            self.add(&name, &service.to_lowercase(), url)?;
        }
        if let Some(url) = environment.get(ENDPOINT_URL) {
            self.general = Some(value::endpoint_url(ENDPOINT_URL, url)?);
            return Ok(());
        }
        let Some(profile) = profile else {
            return Ok(());
        };
        if let Some(url) = profile.text("endpoint_url")? {
            self.general = Some(value::endpoint_url(&profile.place("endpoint_url"), &url)?);
        }
        let Some(section) = profile.text("services")? else {
            return Ok(());
        };
        let Some(services) = shared
            .services
            .get(&section)
            .filter(|keys| !keys.is_empty())
        else {
            let problem = format!(
                "there is no section [services {}]",
                crate::printable::printable(&section)
            );
            return Err(profile.wrong(Some("services"), Some(&section), problem));
        };
        for (service, url) in urls(services) {
            if !self.services.contains_key(service) {
                let name = format!(
                    "endpoint_url of {service} in [services {}]",
                    crate::printable::printable(&section)
                );
                self.add(&name, service, url)?;
            }
        }
        Ok(())
    }

    /// A URL that cannot be used matters only if its service is called.
    fn add(&mut self, name: &str, service: &str, url: &str) -> Result<(), ConfigError> {
        match value::endpoint_url(name, url) {
            Ok(url) => drop(self.services.insert(service.to_owned(), url)),
            Err(error) if CALLED.contains(&service) => return Err(error),
            Err(error) => tracing::warn!(%error, "the endpoint is passed over"),
        }
        Ok(())
    }
}

fn urls(services: &Keys) -> impl Iterator<Item = (&str, &str)> {
    services.iter().filter_map(|(service, value)| match value {
        Value::Nested(keys) => {
            let url = keys.get("endpoint_url").filter(|url| !url.is_empty())?;
            Some((service.as_str(), url.as_str()))
        }
        Value::Text(_) => None,
    })
}

/// With whether it is botocore's `legacy`.
fn retry_mode((name, text): (String, String)) -> Result<(RetryMode, bool), ConfigError> {
    match text.to_ascii_lowercase().as_str() {
        "standard" => Ok((RetryMode::Standard, false)),
        "legacy" => Ok((RetryMode::Standard, true)),
        "adaptive" => Ok((RetryMode::Adaptive, false)),
        _ => Err(ConfigError::Value {
            name,
            problem: format!(
                "{:?} is not a retry mode: it is one of legacy, standard, adaptive",
                crate::printable::printable(&text)
            ),
        }),
    }
}

fn max_attempts((name, text): (String, String)) -> Result<u32, ConfigError> {
    match crate::config::shared_config::strip(&text).parse() {
        Ok(attempts) if attempts > 0 => Ok(attempts),
        _ => Err(ConfigError::Value {
            name,
            problem: format!(
                "{:?} is not a number of attempts: it is a whole number, at least 1",
                crate::printable::printable(&text)
            ),
        }),
    }
}
