//! The endpoint that credentials and codes go to.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use crate::error::MfaError;

/// The URL that the SDK would use instead of AWS's own, in its order: set in the program,
/// AWS_ENDPOINT_URL_STS or the profile's `services` section, AWS_ENDPOINT_URL or `endpoint_url`.
/// The same for other services.
pub(crate) fn custom_endpoint(config: &SdkConfig, service_id: &str) -> Option<String> {
    let general = config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return general;
    }
    let key = ServiceConfigKey::builder()
        .service_id(service_id)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    config
        .service_config()
        .and_then(|service| service.load_config(key))
        .or(general)
}

/// The SDK refuses a FIPS or dual-stack endpoint beside one of the caller's own, but names neither
/// setting.
pub(super) fn check_variants(config: &SdkConfig, url: &str) -> Result<(), MfaError> {
    let (kind, variable, key) = match (config.use_fips(), config.use_dual_stack()) {
        (Some(true), _) => ("FIPS", "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
        (_, Some(true)) => (
            "dual-stack",
            "AWS_USE_DUALSTACK_ENDPOINT",
            "use_dualstack_endpoint",
        ),
        _ => return Ok(()),
    };
    Err(MfaError::Settings(format!(
        "{kind} endpoints ({variable}, or `{key}` in the profile) and the STS endpoint {url:?} (the option, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS or `endpoint_url` in the profile) exclude each other: unset one of the two; a FIPS endpoint can be named by its URL"
    )))
}

/// Whether nobody on the way can read what is sent there: https, or plain http that stays on this
/// machine.
pub(crate) fn is_protected(url: &str) -> bool {
    let scheme = |name: &str| {
        let found = url.get(..name.len())?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| url.get(name.len()..))
            .flatten()
    };
    let Some(rest) = scheme("http://") else {
        return scheme("https://").is_some();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Everything before the last @ is a user's name.
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in [
            "https://sts.amazonaws.com",
            "HTTPS://sts.amazonaws.com",
            "http://127.0.0.1:80/x",
            "http://[::1]:1",
            "http://localhost:9",
            "HTTP://LocalHost",
            "http://user@127.8.9.1/",
        ] {
            assert!(is_protected(url), "{url}");
        }
        for url in [
            "http://sts.amazonaws.com",
            "HTTP://sts.amazonaws.com",
            "http://10.0.0.1",
            "http://0.0.0.0:4566",
            "http://[::]:4566",
            "http://169.254.169.254",
            "http://localstack:4566",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1\\@evil.example",
            "http://evil.example#@127.0.0.1",
            "http:///127.0.0.1",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "http://localhost:1@evil.example",
            "ftp://x",
            "",
        ] {
            assert!(!is_protected(url), "{url}");
        }
    }
}
