//! Where services are called: which URLs may be, which are configured, and which domains AWS's own
//! endpoints have.

#[cfg(feature = "config")]
mod configured;
mod partition;
mod region;
mod url;

#[cfg(feature = "config")]
pub use configured::{EndpointVariantConflict, check_endpoint_variants, configured_endpoint};
pub use partition::Partition;
pub use region::{InvalidRegion, check_region};
pub use url::{EndpointUrlError, check_endpoint_url, is_loopback_host, is_loopback_url};
