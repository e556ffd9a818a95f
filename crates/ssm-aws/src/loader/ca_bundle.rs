//! Certificates to trust instead of the system's, for every call of the AWS SDK.

use std::sync::Arc;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::certificates::{CaBundleError, Certificates};
use crate::config::error::ConfigError;
use crate::config::resolve::Settings;

/// The bundle that the settings name, if any.
///
/// # Errors
/// When it cannot be read or holds no certificate: falling back to the system's would hide the
/// mistake.
pub(super) async fn read(settings: &Settings) -> Result<Option<Arc<[u8]>>, ConfigError> {
    let Some((name, path)) = settings.ca_bundle.clone() else {
        return Ok(None);
    };
    let reading = path.clone();
    let read = tokio::task::spawn_blocking(move || Certificates::read(&reading));
    let read = read.await.unwrap_or_else(|error| {
        Err(CaBundleError::Unreadable {
            path: path.clone(),
            error: Arc::new(std::io::Error::other(error)),
        })
    });
    match read {
        Ok(certificates) => Ok(Some(certificates.pem().clone())),
        Err(CaBundleError::Unreadable { path, error }) => {
            Err(ConfigError::NoCaBundle { name, path, error })
        }
        Err(CaBundleError::NoCertificate { reason }) => {
            Err(ConfigError::CaBundle { name, path, reason })
        }
    }
}

/// An HTTP client for the AWS SDK that trusts the certificates of this PEM text instead of the
/// system's, and goes through the proxies of the environment as the SDK's own does.
pub fn http_client(pem: Arc<[u8]>) -> SharedHttpClient {
    // The text is long: every client holds the same one, and copies it only to connect.
    Builder::new().build_with_connector_fn(move |settings, components| {
        let trust = TrustStore::empty().with_pem_certificate(&*pem);
        let mut connector =
            ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        // Building it from a trust store cannot fail in this version of the SDK.
        if let Ok(context) = TlsContext::builder().with_trust_store(trust).build() {
            connector = connector.tls_context(context);
        }
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}
