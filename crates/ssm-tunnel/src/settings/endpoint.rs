//! Endpoint URLs: where they are configured, and which cannot work.

use std::net::IpAddr;

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use super::check::{shortened, wrong};
use crate::error::Error;

/// The places where an endpoint URL may be configured.
const CHECK: &str = "check `endpoint_url`, AWS_ENDPOINT_URL, the service's own variable such as AWS_ENDPOINT_URL_SSM, and `endpoint_url` in the profile";

/// Checks a URL. The SDK would panic at an empty one, report one without a scheme as a network
/// failure, and send session tokens to any `http` one in clear text.
pub(crate) fn check(url: &str) -> Result<(), Error> {
    let usable = url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    if !usable {
        return wrong(format!(
            "the endpoint URL {:?} cannot be used: it must begin with https:// (or http:// for a stand-in on this machine) and name a host; {CHECK}",
            shortened(url)
        ));
    }
    if !is_https(url) && !is_loopback(url) {
        return wrong(format!(
            "the endpoint URL {:?} cannot be used: credentials are sent by https:// only, or by http:// to this machine (127.0.0.1, [::1], localhost); {CHECK}",
            shortened(url)
        ));
    }
    Ok(())
}

/// Checks that no FIPS or dual-stack endpoint is wanted besides a URL. The SDK refuses that too, but
/// names neither setting.
pub(crate) fn check_variants(config: &SdkConfig, url: Option<&str>) -> Result<(), Error> {
    let Some(url) = url else {
        return Ok(());
    };
    let variants = [
        (
            config.use_fips(),
            "FIPS",
            "AWS_USE_FIPS_ENDPOINT",
            "use_fips_endpoint",
        ),
        (
            config.use_dual_stack(),
            "dual-stack",
            "AWS_USE_DUALSTACK_ENDPOINT",
            "use_dualstack_endpoint",
        ),
    ];
    for (wanted, kind, variable, key) in variants {
        if wanted == Some(true) {
            return wrong(format!(
                "{kind} endpoints ({variable}, or `{key}` in the profile) and an endpoint URL ({:?}, by `endpoint_url`, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_SSM, AWS_ENDPOINT_URL_STS or `endpoint_url` in the profile) exclude each other: unset one of the two; a FIPS endpoint can be named by its URL",
                shortened(url)
            ));
        }
    }
    Ok(())
}

/// The URL that the SDK would use instead of AWS's own, in the SDK's order: set in the program,
/// `AWS_ENDPOINT_URL_SSM` (or `_STS`) or the profile's `services` section, `AWS_ENDPOINT_URL` or
/// `endpoint_url`.
pub(crate) fn configured(config: &SdkConfig, service: &str) -> Option<String> {
    let general = config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return general;
    }
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    config
        .service_config()
        .and_then(|service| service.load_config(key))
        .or(general)
}

fn is_https(url: &str) -> bool {
    url.parse::<http::Uri>()
        .is_ok_and(|uri| uri.scheme_str() == Some("https"))
}

pub(crate) fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(outcome: Result<(), Error>, words: &str) {
        let error = outcome.expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn endpoint_urls_need_a_scheme_and_a_host() {
        for url in [
            "https://ssm.eu-west-1.amazonaws.com",
            "http://127.0.0.1:1",
            "http://[::1]:9/p",
        ] {
            check(url).expect(url);
        }
        for url in [
            "",
            " ",
            "localhost:1234",
            "nonsense",
            "ftp://x",
            "https://",
            "not a url",
        ] {
            refused(check(url), "it must begin with https://");
        }
    }

    #[test]
    fn plain_http_is_accepted_for_this_machine_only() {
        for url in [
            "http://localhost:4566",
            "HTTP://LOCALHOST",
            "http://127.9.9.9",
            "https://localstack:4566",
        ] {
            check(url).expect(url);
        }
        for url in [
            "http://0.0.0.0:1",
            "http://[::]:1",
            "http://10.0.0.1",
            "http://localstack:4566",
            "HTTP://ssm.eu-west-1.amazonaws.com",
            "http://localhost.evil.example",
            "http://127.0.0.1@evil.example",
            "http://2130706433",
        ] {
            refused(check(url), "are sent by https:// only");
        }
    }

    #[test]
    fn endpoint_urls_exclude_fips_and_dual_stack() {
        let config = |fips, dual| {
            SdkConfig::builder()
                .use_fips(fips)
                .use_dual_stack(dual)
                .build()
        };
        let url = Some("https://vpce.example");
        for (config, setting) in [
            (config(true, false), "AWS_USE_FIPS_ENDPOINT"),
            (config(false, true), "AWS_USE_DUALSTACK_ENDPOINT"),
        ] {
            refused(check_variants(&config, url), setting);
            refused(check_variants(&config, url), "AWS_ENDPOINT_URL");
            refused(check_variants(&config, url), "https://vpce.example");
            check_variants(&config, None).expect("AWS has both");
        }
        check_variants(&config(false, false), url).expect("no clash");
    }
}
