//! Reads files and environment, and provides settings, an SDK configuration and credentials that
//! agree with each other.

mod ca_bundle;
mod files;
mod sdk_config;

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::config::environment::Environment;
use crate::config::error::ConfigError;
use crate::config::resolve::{Request, Settings, resolve};
pub use ca_bundle::http_client;

/// Reads the AWS configuration as the AWS CLI does.
#[derive(Clone, Default)]
#[must_use = "nothing is read until `load` is called"]
pub struct Loader {
    request: Request,
    client: Option<Client>,
}

/// Makes the HTTP client, given the certificates to trust instead of the system's.
type Client = Arc<dyn Fn(Option<&[u8]>) -> SharedHttpClient + Send + Sync>;

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Loader");
        debug
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader that takes everything from the environment and the files.
    pub fn new() -> Self {
        Self::default()
    }

    /// The profile to use, like `--profile`: the environment's keys are not used then. With `None` or
    /// an empty name, AWS_DEFAULT_PROFILE and AWS_PROFILE decide.
    pub fn profile<T: Into<String>>(mut self, name: Option<T>) -> Self {
        self.request.profile = name.map(Into::into);
        self
    }

    /// The region; takes precedence over AWS_REGION and the profile's.
    pub fn region<T: Into<String>>(mut self, region: Option<T>) -> Self {
        self.request.region = region.map(Into::into);
        self
    }

    /// The endpoint of every service; takes precedence over configured ones.
    pub fn endpoint_url<T: Into<String>>(mut self, url: Option<T>) -> Self {
        self.request.endpoint_url = url.map(Into::into);
        self
    }

    /// The HTTP client of every call, given the PEM text of the certificates that the configuration
    /// names, if it does. Default: the SDK's own, or [`http_client`] where certificates are named.
    pub fn http_client(
        mut self,
        make: impl Fn(Option<&[u8]>) -> SharedHttpClient + Send + Sync + 'static,
    ) -> Self {
        self.client = Some(Arc::new(make));
        self
    }

    /// Reads everything. No service is called: credentials are fetched when they are first needed.
    ///
    /// # Errors
    /// When a file cannot be read, the profile does not exist, or its settings cannot be used.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn load(self) -> Result<AwsConfig, ConfigError> {
        let environment = Environment::of_process();
        let files = files::read().await?;
        let settings = resolve(&files, &environment, &self.request)?;
        AwsConfig::with_client(settings, self.client).await
    }
}

/// The AWS configuration in use.
#[derive(Debug, Clone)]
pub struct AwsConfig {
    settings: Settings,
    sdk_config: SdkConfig,
    source: SharedCredentialsProvider,
    ca_bundle: Option<Arc<[u8]>>,
}

impl AwsConfig {
    /// From settings that are resolved already; reads the certificate bundle.
    ///
    /// # Errors
    /// When the bundle cannot be read.
    pub async fn new(settings: Settings) -> Result<Self, ConfigError> {
        Self::with_client(settings, None).await
    }

    async fn with_client(settings: Settings, make: Option<Client>) -> Result<Self, ConfigError> {
        let ca_bundle = ca_bundle::read(&settings).await?;
        let client = match make {
            Some(make) => Some(make(ca_bundle.as_deref())),
            None => ca_bundle.clone().map(http_client),
        };
        let without = sdk_config::build(&settings, client).await?;
        let source = crate::credentials::source(&settings, &without);
        let provider = crate::credentials::roles(&settings, &without, source.clone());
        Ok(Self {
            sdk_config: sdk_config::with_credentials(&without, provider),
            settings,
            source,
            ca_bundle,
        })
    }

    /// The resolved values.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// For any client of the AWS SDK. Its credentials are the profile's, its roles assumed without
    /// MFA; they are fetched once, however many clients share them.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.sdk_config
    }

    /// Replaces the SDK configuration, such as by one with other timeouts.
    #[must_use]
    pub fn with_sdk_config(mut self, config: SdkConfig) -> Self {
        self.sdk_config = config;
        self
    }

    /// The credentials that the roles are assumed with: fetched once, shared with
    /// [`sdk_config`](Self::sdk_config).
    pub fn source_credentials(&self) -> &SharedCredentialsProvider {
        &self.source
    }

    /// The PEM text of the certificates to trust instead of the system's: AWS_CA_BUNDLE, the
    /// profile's `ca_bundle`, or REQUESTS_CA_BUNDLE.
    pub fn ca_bundle_pem(&self) -> Option<&[u8]> {
        self.ca_bundle.as_deref()
    }
}
