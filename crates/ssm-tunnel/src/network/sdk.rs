//! The AWS SDK's configuration with the HTTP client of this crate.

use aws_config::{ConfigLoader, SdkConfig};
use aws_types::sdk_config::SharedHttpClient;
use ssm_aws::Loader;

use super::{CaBundle, Proxy, http};

/// An SDK configuration whose calls go through the same proxies as a tunnel's data channel, by the
/// same rules ([`Proxy`]), and trust the same certificates: these, or the system's.
///
/// The SDK's own client reads the proxy variables by rules of its own: it bypasses a proxy whose URL
/// it cannot read, and knows no ports in `NO_PROXY`. Nor does it read `AWS_CA_BUNDLE`.
pub fn sdk_config_through(
    config: &SdkConfig,
    proxy: &Proxy,
    bundle: Option<&CaBundle>,
) -> SdkConfig {
    let client = http_client(proxy, bundle);
    config.to_builder().http_client(client).build()
}

/// The same for a configuration that is still to be loaded, so that signing in (SSO, AssumeRole)
/// goes through the proxies as well:
///
/// ```no_run
/// # async fn run() -> Result<(), ssm_tunnel::CaBundleError> {
/// use aws_config::BehaviorVersion;
/// use ssm_tunnel::{CaBundle, Proxy};
///
/// let bundle = CaBundle::from_env()?;
/// let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
/// let loader = ssm_tunnel::loader_through(loader, &Proxy::from_env(), bundle.as_ref());
/// let config = loader.load().await;
/// # Ok(())
/// # }
/// ```
pub fn loader_through(
    loader: ConfigLoader,
    proxy: &Proxy,
    bundle: Option<&CaBundle>,
) -> ConfigLoader {
    loader.http_client(http_client(proxy, bundle))
}

/// The same for a configuration that is read by the AWS CLI's rules, with the certificates that it
/// names.
pub fn aws_loader_through(loader: Loader, proxy: &Proxy) -> Loader {
    let proxy = proxy.clone();
    loader.http_client(move |pem| {
        // Certificates that cannot be used are reported where they are read for the data channel.
        let bundle = pem.and_then(|pem| CaBundle::from_pem(pem).ok());
        http_client(&proxy, bundle.as_ref())
    })
}

pub(crate) fn http_client(proxy: &Proxy, bundle: Option<&CaBundle>) -> SharedHttpClient {
    http::client(proxy, bundle)
}
