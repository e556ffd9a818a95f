//! Settings that cannot work, refused before anything is asked of the service.

use std::net::IpAddr;

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use crate::error::Error;

/// Most characters of a reason (`Reason` in the Systems Manager API Reference, StartSession).
const LONGEST_REASON: usize = 256;
/// Most characters of a target (`Target` there).
const LONGEST_TARGET: usize = 400;

/// Where an endpoint URL may come from.
const CHECK_ENDPOINT: &str = "check the option, AWS_ENDPOINT_URL, the service's own variable such as AWS_ENDPOINT_URL_SSM, and `endpoint_url` in the profile";

fn wrong(text: impl Into<String>) -> Result<(), Error> {
    Err(Error::Settings(text.into()))
}

pub(crate) fn target(target: &str) -> Result<(), Error> {
    if target.trim().is_empty() {
        return wrong(
            "the target is empty: give an instance id such as i-0123456789abcdef0, or its Name tag",
        );
    }
    if target.contains(char::is_control) || target.chars().count() > LONGEST_TARGET {
        return wrong(format!(
            "the target {:?} is no target: give an instance (i-0123456789abcdef0), a managed node (mi-...), a container (ecs:CLUSTER_TASK_RUNTIMEID), or an instance's Name tag, computer name or private IP",
            shortened(target)
        ));
    }
    Ok(())
}

pub(crate) fn remote_port(port: Option<u16>, required: bool) -> Result<(), Error> {
    match port {
        Some(0) => wrong("remote port 0 cannot be reached: give a port from 1 to 65535"),
        None if required => wrong("no remote port: call `remote_port`, 3389 for Remote Desktop"),
        _ => Ok(()),
    }
}

pub(crate) fn document_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return wrong("the session document's name is empty: leave it out to use AWS's own");
    }
    Ok(())
}

pub(crate) fn reason(reason: &str) -> Result<(), Error> {
    if reason.is_empty() {
        return wrong("the reason is empty: leave it out");
    }
    if reason.chars().count() > LONGEST_REASON {
        return wrong("the reason is longer than the 256 characters the service takes");
    }
    Ok(())
}

/// The SDK would only say that a "host label" is invalid.
pub(crate) fn region(region: &str) -> Result<(), Error> {
    if region.trim().is_empty() {
        return Err(Error::NoRegion);
    }
    let label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !region.bytes().all(label) || region.starts_with('-') || region.len() > 63 {
        return wrong(format!(
            "the region {:?} is none: give one such as eu-west-1, or set AWS_REGION or `region` in the profile",
            shortened(region)
        ));
    }
    Ok(())
}

/// The SDK panics at an empty one, calls one without a scheme a network failure, and sends session
/// tokens to any `http` one in clear.
pub(crate) fn endpoint_url(url: &str) -> Result<(), Error> {
    let usable = url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    if !usable {
        return wrong(format!(
            "the endpoint URL {:?} cannot be used: it must begin with https:// (or http:// for a stand-in on this machine) and name a host; {CHECK_ENDPOINT}",
            shortened(url)
        ));
    }
    if !is_https(url) && !is_loopback(url) {
        return wrong(format!(
            "the endpoint URL {:?} cannot be used: credentials are sent by https:// only, or by http:// to this machine (127.0.0.1, [::1], localhost); {CHECK_ENDPOINT}",
            shortened(url)
        ));
    }
    Ok(())
}

/// The SDK refuses a FIPS or dual-stack endpoint beside one of the caller's own, but names neither
/// setting.
pub(crate) fn endpoint_variants(config: &SdkConfig, url: Option<&str>) -> Result<(), Error> {
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
                "{kind} endpoints ({variable}, or `{key}` in the profile) and an endpoint URL ({:?}, by the option, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_SSM, AWS_ENDPOINT_URL_STS or `endpoint_url` in the profile) exclude each other: unset one of the two; a FIPS endpoint can be named by its URL",
                shortened(url)
            ));
        }
    }
    Ok(())
}

/// The URL that the SDK would use instead of AWS's own, in its order: set in the program,
/// `AWS_ENDPOINT_URL_SSM` (or `_STS`) or the profile's `services` section, `AWS_ENDPOINT_URL` or
/// `endpoint_url`.
pub(crate) fn configured_endpoint(config: &SdkConfig, service: &str) -> Option<String> {
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

/// For an error: what somebody typed may be anything.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(outcome: Result<(), Error>, words: &str) {
        let error = outcome.expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn targets_of_every_kind_are_taken_and_texts_that_can_be_none_are_not() {
        for known in [
            "i-0123456789abcdef0",
            "mi-0a",
            "ecs:c_t_r-1",
            "my.alias",
            "my box",
        ] {
            target(known).expect(known);
        }
        for text in ["", " ", "\t"] {
            refused(target(text), "the target is empty");
        }
        for text in ["i-1\n", "i-\u{0}", "my\tbox", &"x".repeat(401)] {
            refused(target(text), "is no target: give an instance");
        }
    }

    #[test]
    fn a_region_is_a_host_label() {
        for name in ["eu-west-1", "us-gov-east-1"] {
            region(name).expect(name);
        }
        assert!(matches!(region(""), Err(Error::NoRegion)));
        for name in ["not a region", "eu.west", "-x", "é", &"x".repeat(64)] {
            refused(region(name), "is none: give one such as eu-west-1");
        }
    }

    #[test]
    fn an_endpoint_url_has_a_scheme_and_a_host() {
        for url in [
            "https://ssm.eu-west-1.amazonaws.com",
            "http://127.0.0.1:1",
            "http://[::1]:9/p",
        ] {
            endpoint_url(url).expect(url);
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
            refused(endpoint_url(url), "it must begin with https://");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for url in [
            "http://localhost:4566",
            "HTTP://LOCALHOST",
            "http://127.9.9.9",
            "https://localstack:4566",
        ] {
            endpoint_url(url).expect(url);
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
            refused(endpoint_url(url), "are sent by https:// only");
        }
    }

    #[test]
    fn an_endpoint_of_ones_own_excludes_fips_and_dual_stack() {
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
            refused(endpoint_variants(&config, url), setting);
            refused(endpoint_variants(&config, url), "AWS_ENDPOINT_URL");
            refused(endpoint_variants(&config, url), "https://vpce.example");
            endpoint_variants(&config, None).expect("AWS has both");
        }
        endpoint_variants(&config(false, false), url).expect("no clash");
    }

    #[test]
    fn what_is_left_out_is_not_given_empty() {
        refused(document_name(" "), "the session document's name is empty");
        refused(reason(""), "the reason is empty");
        refused(reason(&"x".repeat(257)), "longer than the 256 characters");
        reason(&"é".repeat(256)).expect("256 characters");
        refused(remote_port(Some(0), true), "give a port from 1 to 65535");
        refused(remote_port(None, true), "no remote port");
        remote_port(None, false).expect("a custom document may name it");
    }
}
