//! How this machine reaches AWS: proxies, trusted certificates, and the AWS SDK's HTTP client that
//! follows both.

mod ca_bundle;
mod http;
mod proxy;
mod sdk;

pub use ca_bundle::{CaBundle, CaBundleError};
pub use proxy::{Proxy, ProxyError};
pub(crate) use sdk::http_client;
pub use sdk::{aws_loader_through, loader_through, sdk_config_through};
