//! AWS configuration for the AWS SDK, read as the AWS CLI reads it; and the small things that every
//! caller of AWS needs beside the SDK.
//!
//! The SDK's own parser is stricter than botocore's: one odd line stops every profile, or drops a
//! section silently, and a lost `role_arn` or `mfa_serial` means acting as another identity. This
//! crate reads `config` and `credentials` by botocore's rules and hands the SDK the settings in use:
//!
//! ```no_run
//! # #[cfg(feature = "config")]
//! # async fn run() -> Result<(), ssm_aws::ConfigError> {
//! let aws = ssm_aws::Loader::new().profile(Some("work")).load().await?;
//! println!("{:?}", aws.settings().region());
//! let config = aws.sdk_config(); // for any client of the AWS SDK
//! # Ok(())
//! # }
//! ```
//!
//! | part | what it is |
//! |---|---|
//! | [`Loader`] | reads files and environment; [`AwsConfig`] has settings, SDK configuration, credentials |
//! | [`resolve`] | pure: files, environment and a [`Request`] to [`Settings`] |
//! | [`Source`], [`Role`] | where the credentials begin, and which roles are assumed from there |
//! | [`Partition`], [`check_endpoint_url`], [`configured_endpoint`] | endpoints: domains, protection, configuration |
//! | [`QueryCall`], [`sign`] | one signed call without the service's SDK; one signature |
//!
//! Without the feature `config`, which is on by default, only [`Partition`], the checks of URLs and
//! regions, and [`sign`] are left.
//!
//! Deliberate departures from botocore are listed, with their reasons, in the crate's README;
//! `tests/botocore.sh` compares everything else with botocore itself, on generated files and
//! environments.

#[cfg(feature = "config")]
mod caught;
#[cfg(feature = "config")]
mod credentials;
mod endpoint;
#[cfg(feature = "config")]
mod environment;
#[cfg(feature = "config")]
mod error;
#[cfg(feature = "config")]
mod keys;
#[cfg(feature = "config")]
mod loader;
mod printable;
mod query;
#[cfg(feature = "config")]
mod resolve;
#[cfg(feature = "config")]
mod secret_variables;
#[cfg(feature = "config")]
mod shared_config;
#[cfg(feature = "config")]
mod value;

#[cfg(feature = "config")]
pub use caught::{Panicked, caught};
#[cfg(feature = "config")]
pub use credentials::SourceError;
pub use endpoint::{
    EndpointUrlError, InvalidRegion, Partition, check_endpoint_url, check_region, is_loopback_host,
    is_loopback_url,
};
#[cfg(feature = "config")]
pub use endpoint::{EndpointVariantConflict, check_endpoint_variants, configured_endpoint};
#[cfg(feature = "config")]
pub use environment::Environment;
#[cfg(feature = "config")]
pub use error::ConfigError;
#[cfg(feature = "config")]
pub use keys::Keys;
#[cfg(feature = "config")]
pub use loader::{AwsConfig, Loader, http_client};
#[cfg(feature = "config")]
pub use query::{QueryCall, QueryError, QueryReply};
pub use query::{RequestToSign, SignError, SignedHeaders, sign};
#[cfg(feature = "config")]
pub use resolve::{PassedOver, Request, RetryMode, Role, Settings, Source, Sso, resolve};
#[cfg(feature = "config")]
pub use secret_variables::{keep_from_children, secret_variables};
#[cfg(feature = "config")]
pub use shared_config::{ConfigFiles, File};
