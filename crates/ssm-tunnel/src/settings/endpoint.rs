//! Endpoint URLs that cannot work, with where they may be configured.

use aws_config::SdkConfig;

use super::check::{shortened, wrong};
use crate::error::Error;

pub(crate) use ssm_aws::{configured_endpoint as configured, is_loopback_url as is_loopback};

/// The places where an endpoint URL may be configured.
const CHECK: &str = "check `endpoint_url`, AWS_ENDPOINT_URL, the service's own variable such as AWS_ENDPOINT_URL_SSM, and `endpoint_url` in the profile";

/// Checks the URL of a service.
pub(crate) fn check(url: &str) -> Result<(), Error> {
    ssm_aws::check_endpoint_url(url).or_else(|problem| {
        wrong(format!(
            "the endpoint URL {:?} cannot be used: {problem}; {CHECK}",
            shortened(url)
        ))
    })
}

/// Checks that no FIPS or dual-stack endpoint is wanted besides a URL.
pub(crate) fn check_variants(config: &SdkConfig, url: Option<&str>) -> Result<(), Error> {
    let Some(url) = url else {
        return Ok(());
    };
    ssm_aws::check_endpoint_variants(config, url).or_else(|conflict| wrong(conflict.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(outcome: Result<(), Error>, words: &str) {
        let error = outcome.expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn refused_endpoint_urls_are_shown_with_their_places() {
        check("http://127.0.0.1:1").expect("this machine");
        for (url, words) in [
            ("", "it must begin with https://"),
            (
                "localhost:1234",
                "\"localhost:1234\" cannot be used: it must begin",
            ),
            ("http://10.0.0.1", "are sent by https:// only"),
            ("http://127.0.0.1@evil.example", "AWS_ENDPOINT_URL_SSM"),
        ] {
            refused(check(url), words);
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
