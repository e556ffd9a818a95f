//! The settings as an SDK configuration. The SDK reads neither the files nor the environment here:
//! it gets one profile in memory with the settings in use, so that its own parser, which is stricter
//! than botocore's, has nothing to refuse or to drop.

use std::fmt::Write as _;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::app_name::AppName;

use crate::config::error::ConfigError;
use crate::config::resolve::{RetryMode, Settings};

/// Time allowed for credentials: a `credential_process` may ask a person.
const PATIENCE: Duration = Duration::from_secs(300);

/// Everything but the credentials.
///
/// # Errors
/// When the SDK panics on it.
pub(super) async fn build(
    settings: &Settings,
    client: Option<SharedHttpClient>,
) -> Result<SdkConfig, ConfigError> {
    let files = EnvConfigFiles::builder()
        .with_contents(EnvConfigFileKind::Config, profile(settings))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .empty_test_environment()
        .profile_files(files)
        .profile_name("default")
        .no_credentials()
        .region(settings.region.clone().map(Region::new));
    if let Some(url) = &settings.endpoints.fixed {
        loader = loader.endpoint_url(url);
    }
    if let Some(client) = client {
        loader = loader.http_client(client);
    }
    if let Some(on) = settings.use_fips {
        loader = loader.use_fips(on);
    }
    if let Some(on) = settings.use_dual_stack {
        loader = loader.use_dual_stack(on);
    }
    if settings.retry_mode.is_some() || settings.max_attempts.is_some() {
        let mut retries = match settings.retry_mode {
            Some(RetryMode::Adaptive) => RetryConfig::adaptive(),
            _ => RetryConfig::standard(),
        };
        if let Some(attempts) = settings.max_attempts {
            retries = retries.with_max_attempts(attempts);
        }
        loader = loader.retry_config(retries);
    }
    if let Some(Ok(name)) = settings.app_id.clone().map(AppName::new) {
        loader = loader.app_name(name);
    }
    // A panic ends the task and becomes an error.
    let loading = tokio::spawn(loader.load()).await;
    loading.map_err(|error| ConfigError::Sdk {
        given: match &settings.profile {
            Some(name) => format!("profile {}", crate::printable::printable(name)),
            None => "the environment".to_owned(),
        },
        reason: error.to_string(),
    })
}

pub(super) fn with_credentials(
    config: &SdkConfig,
    provider: SharedCredentialsProvider,
) -> SdkConfig {
    config
        .to_builder()
        .credentials_provider(provider)
        .identity_cache(IdentityCache::lazy().load_timeout(PATIENCE).build())
        .build()
}

/// The endpoints, as a file. Services and URLs were checked before, so that no line of it can be
/// mistaken for another one, or for a comment.
fn profile(settings: &Settings) -> String {
    let mut text = "[default]\n".to_owned();
    let endpoints = &settings.endpoints;
    if let Some(url) = &endpoints.general {
        let _ = writeln!(text, "endpoint_url = {url}");
    }
    let is_name = |service: &str| {
        let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        !service.is_empty() && service.bytes().all(letter)
    };
    let mut services = endpoints
        .services
        .iter()
        .filter(|(service, _)| is_name(service))
        .peekable();
    if services.peek().is_some() {
        text.push_str("services = endpoints\n[services endpoints]\n");
    }
    for (service, url) in services {
        let _ = writeln!(text, "{service} =\n  endpoint_url = {url}");
    }
    text
}

#[cfg(test)]
mod tests {
    use aws_types::service_config::ServiceConfigKey;

    use super::*;
    use crate::{ConfigFiles, Environment, File, Request};

    async fn built(config: &str, variables: &[(&str, &str)]) -> SdkConfig {
        let files = ConfigFiles {
            config: Some(File::new("/aws/config", config)),
            credentials: None,
        };
        let environment: Environment = variables.iter().copied().collect();
        let settings = crate::resolve(&files, &environment, &Request::default());
        build(&settings.expect("usable"), None)
            .await
            .expect("built")
    }

    /// As a client of the SDK finds its endpoint.
    fn endpoint(config: &SdkConfig, service_id: &str) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id(service_id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .expect("complete");
        config
            .service_config()
            .and_then(|service| service.load_config(key))
            .or_else(|| config.endpoint_url().map(str::to_owned))
    }

    #[tokio::test]
    async fn the_sdk_gets_only_the_settings_in_use() {
        let config = built(
            "[default]\n  region : eu-west-1\nretry_mode = legacy\nservices = s\nendpoint_url = https://all\nuse_fips_endpoint = TRUE\n[services s]\nssm =\n  endpoint_url = https://ssm\n[broken] /* x */\n",
            &[("AWS_ENDPOINT_URL_STS", "https://sts")],
        )
        .await;
        assert_eq!(config.region().map(AsRef::as_ref), Some("eu-west-1"));
        assert_eq!(endpoint(&config, "SSM").as_deref(), Some("https://ssm"));
        assert_eq!(endpoint(&config, "STS").as_deref(), Some("https://sts"));
        assert_eq!(endpoint(&config, "EC2").as_deref(), Some("https://all"));
        assert_eq!(config.use_fips(), Some(true));
        let retries = config.retry_config().expect("configured");
        assert_eq!(retries.max_attempts(), 5);
    }

    #[tokio::test]
    async fn the_sdk_gets_nothing_when_nothing_is_configured() {
        let config = built("", &[]).await;
        assert_eq!(config.region(), None);
        assert_eq!(endpoint(&config, "SSM"), None);
        let ignored = built(
            "[default]\nignore_configured_endpoint_urls = true\nendpoint_url = https://all\n",
            &[("AWS_ENDPOINT_URL_SSM", "https://ssm")],
        );
        assert_eq!(endpoint(&ignored.await, "SSM"), None);
    }
}
