//! What a tunnel is opened with: values that are checked, and the AWS configuration and network that
//! [`Settings::resolve`] makes of everything that is given, for a tunnel and for the doctor.

pub(crate) mod check;
mod document;
pub(crate) mod endpoint;
mod limits;
pub(crate) mod remote_host;
mod setters;

use aws_config::SdkConfig;
use ssm_aws::{AwsConfig, Loader};
use ssm_relay::StreamEndpoint;

use crate::error::Error;
use crate::network::{self, CaBundle, Proxy};
pub(crate) use document::Document;
#[cfg(all(test, feature = "doctor"))]
pub(crate) use document::PORT;
#[cfg(feature = "doctor")]
pub(crate) use document::REMOTE_HOST;
pub(crate) use limits::LimitSettings;
pub(crate) use setters::network_setters;

/// The AWS configuration and the network as a program gives them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    pub(crate) aws: Option<AwsConfig>,
    pub(crate) sdk_config: Option<SdkConfig>,
    pub(crate) endpoint_url: Option<String>,
    pub(crate) stream_endpoint: Option<String>,
    pub(crate) proxy: Proxy,
    pub(crate) ca_bundle: Option<CaBundle>,
}

/// What results from them.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// With an HTTP client that follows the proxy rules and the certificates.
    pub(crate) sdk_config: SdkConfig,
    pub(crate) region: String,
    /// Where Systems Manager is called, as the program named it.
    pub(crate) endpoint_url: Option<String>,
    /// The data channel's endpoint, as the program named it.
    pub(crate) stream_endpoint: Option<String>,
    pub(crate) proxy: Proxy,
    pub(crate) ca_bundle: Option<CaBundle>,
}

impl Settings {
    /// Reads what is not given from the environment and the files.
    ///
    /// # Errors
    /// When a file cannot be read, or region, certificates or endpoint cannot work.
    pub(crate) async fn resolve(self) -> Result<Resolved, Error> {
        let given = match &self.aws {
            Some(aws) => Some(aws.clone()),
            None if self.sdk_config.is_some() => None,
            None => {
                let loader = network::aws_loader_through(Loader::new(), &self.proxy);
                Some(loader.load().await.map_err(Error::Configuration)?)
            }
        };
        let ca_bundle = match (self.ca_bundle, given.as_ref().map(AwsConfig::ca_bundle_pem)) {
            (Some(bundle), _) => Some(bundle),
            (None, Some(pem)) => pem
                .map(CaBundle::from_pem)
                .transpose()
                .map_err(Error::CaBundle)?,
            (None, None) => CaBundle::from_env().map_err(Error::CaBundle)?,
        };
        // A client that the program set itself stays.
        let own_client = self
            .sdk_config
            .as_ref()
            .is_some_and(|config| config.http_client().is_some());
        let config = match (self.sdk_config, given) {
            (Some(config), _) => config,
            (None, Some(aws)) => aws.sdk_config().clone(),
            (None, None) => return Err(Error::NoCredentials),
        };
        let sdk_config = match own_client {
            true => config,
            false => network::sdk_config_through(&config, &self.proxy, ca_bundle.as_ref()),
        };
        let region = sdk_config.region().ok_or(Error::NoRegion)?.to_string();
        check::region(&region)?;
        let resolved = Resolved {
            region,
            sdk_config,
            endpoint_url: self.endpoint_url,
            stream_endpoint: self.stream_endpoint,
            proxy: self.proxy,
            ca_bundle,
        };
        let url = resolved.api_url();
        if let Some(url) = &url {
            endpoint::check(url)?;
        }
        endpoint::check_variants(&resolved.sdk_config, url.as_deref())?;
        Ok(resolved)
    }
}

impl Resolved {
    /// Where Systems Manager is called; `None` for AWS's own endpoint.
    pub(crate) fn api_url(&self) -> Option<String> {
        self.endpoint_url
            .clone()
            .or_else(|| endpoint::configured(&self.sdk_config, "SSM"))
    }

    /// Which stream URLs may be connected to.
    ///
    /// # Errors
    /// When the endpoint that the program named is not one.
    pub(crate) fn stream_endpoint(&self) -> Result<StreamEndpoint, Error> {
        let endpoint = match &self.stream_endpoint {
            Some(url) => StreamEndpoint::named(url)
                .map_err(|error| Error::StreamEndpoint(error.to_string()))?,
            None => StreamEndpoint::aws(),
        };
        let stand_in = self.api_url().as_deref().is_some_and(endpoint::is_loopback);
        Ok(match stand_in {
            true => endpoint.or_loopback(),
            false => endpoint,
        })
    }
}
