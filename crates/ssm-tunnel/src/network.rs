use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ssm_relay::CaBundle;

/// An HTTP client for the AWS SDK that trusts these root certificates instead of the system's, and
/// goes through the proxies of the environment as the SDK's own does.
///
/// The AWS SDK for Rust does not read `AWS_CA_BUNDLE`. A program that makes its SDK configuration
/// itself gives it this client, so that signing in (SSO, AssumeRole, MFA) gets through as well:
///
/// ```no_run
/// # async fn run() -> Result<(), ssm_tunnel::CaBundleError> {
/// use ssm_tunnel::CaBundle;
///
/// let mut loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12());
/// if let Some(bundle) = CaBundle::from_env()? {
///     loader = loader.http_client(ssm_tunnel::http_client(&bundle));
/// }
/// let config = loader.load().await;
/// # Ok(())
/// # }
/// ```
pub fn http_client(bundle: &CaBundle) -> SharedHttpClient {
    // Its text is long: every client holds the same one, and copies it only to connect.
    let bundle = bundle.clone();
    Builder::new().build_with_connector_fn(move |settings, components| {
        let trust = TrustStore::empty().with_pem_certificate(bundle.pem());
        let mut connector =
            ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        // Building it from a trust store has no failure today.
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
