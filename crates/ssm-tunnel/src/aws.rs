//! The calls to AWS, over its SDK. No SDK type leaves this module, and no SDK error is kept: their
//! `Debug` may show a whole answer, including the token.

mod call;
#[cfg(feature = "doctor")]
pub(crate) mod endpoints;
mod failure;
#[cfg(any(feature = "doctor", feature = "inventory"))]
pub(crate) mod identity;
pub(crate) mod nodes;
pub(crate) mod query;
#[cfg(feature = "inventory")]
pub(crate) mod sessions;
mod systems_manager;
#[cfg(test)]
mod tests;

use aws_config::SdkConfig;

pub(crate) use systems_manager::{SessionRequest, SystemsManager};

/// How Systems Manager is called.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) sdk_config: SdkConfig,
    /// Instead of the endpoint that is configured.
    pub(crate) endpoint_url: Option<String>,
}

impl Access {
    /// Region and endpoint of a call, for errors.
    fn shown(&self) -> String {
        let region = self.sdk_config.region().map_or("none", AsRef::as_ref);
        let endpoint = self.endpoint_url.as_deref();
        let endpoint = endpoint.or(self.sdk_config.endpoint_url());
        format!(
            "region {region}, endpoint {}",
            endpoint.unwrap_or("AWS's own")
        )
    }
}
