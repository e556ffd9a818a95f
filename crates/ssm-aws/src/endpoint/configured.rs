//! The endpoints that an SDK configuration names in place of AWS's own.

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use thiserror::Error;

use crate::printable::printable;

/// The URL at which the AWS SDK would call a service instead of AWS's own endpoint, in the SDK's
/// order: set in the program; AWS_ENDPOINT_URL_SSM or the `services` section of the profile;
/// AWS_ENDPOINT_URL or the profile's `endpoint_url`. `service_id` as the SDK has it: `SSM`, `STS`.
pub fn configured_endpoint(config: &SdkConfig, service_id: &str) -> Option<String> {
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

/// FIPS or dual-stack endpoints are asked for beside a URL, which the AWS SDK refuses without naming
/// either setting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{kind} endpoints ({variable}, or `{key}` in the profile) and an endpoint URL ({url:?}, by `endpoint_url`, AWS_ENDPOINT_URL, the service's own variable such as AWS_ENDPOINT_URL_SSM, or `endpoint_url` in the profile) exclude each other: unset one of the two; a FIPS endpoint can be named by its URL"
)]
pub struct EndpointVariantConflict {
    kind: &'static str,
    variable: &'static str,
    key: &'static str,
    url: String,
}

/// Checks that a configuration asks for no variant of AWS's endpoints where a URL is configured.
///
/// # Errors
/// When it does.
pub fn check_endpoint_variants(
    config: &SdkConfig,
    url: &str,
) -> Result<(), EndpointVariantConflict> {
    let conflict = |kind, variable, key| {
        Err(EndpointVariantConflict {
            kind,
            variable,
            key,
            url: printable(url),
        })
    };
    match (config.use_fips(), config.use_dual_stack()) {
        (Some(true), _) => conflict("FIPS", "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
        (_, Some(true)) => conflict(
            "dual-stack",
            "AWS_USE_DUALSTACK_ENDPOINT",
            "use_dualstack_endpoint",
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_url_excludes_fips_and_dual_stack() {
        let config = |fips, dual| {
            let builder = SdkConfig::builder().use_fips(fips);
            builder.use_dual_stack(dual).build()
        };
        let url = "https://vpce.example";
        for (config, setting) in [
            (config(true, false), "AWS_USE_FIPS_ENDPOINT"),
            (config(false, true), "AWS_USE_DUALSTACK_ENDPOINT"),
        ] {
            let error = check_endpoint_variants(&config, url).expect_err(setting);
            let text = error.to_string();
            for words in [setting, "AWS_ENDPOINT_URL", url] {
                assert!(text.contains(words), "{text}");
            }
        }
        check_endpoint_variants(&config(false, false), url).expect("no conflict");
    }

    #[test]
    fn an_endpoint_set_in_the_program_goes_first() {
        let config = SdkConfig::builder()
            .endpoint_url("http://127.0.0.1:1")
            .build();
        let found = configured_endpoint(&config, "SSM");
        assert_eq!(found.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(
            configured_endpoint(&SdkConfig::builder().build(), "SSM"),
            None
        );
    }
}
