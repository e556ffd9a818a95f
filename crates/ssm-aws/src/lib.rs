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
//! | [`Certificates`] | certificate bundles in PEM files |
//! | [`QueryCall`], [`sign`] | one signed call without the service's SDK; one signature |
//!
//! Without the feature `config`, which is on by default, only [`Partition`], the checks of URLs and
//! regions, [`Certificates`] and [`sign`] are left.
//!
//! Deliberate departures from botocore are listed, with their reasons, in the crate's README;
//! `tests/botocore.sh` compares everything else with botocore itself, on generated files and
//! environments.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "config")]
mod caught;
mod causes;
mod certificates;
#[cfg(feature = "config")]
mod config;
#[cfg(feature = "config")]
mod credentials;
mod endpoint;
#[cfg(feature = "config")]
mod loader;
mod printable;
mod query;
mod secret_variables;

/// The README's example compiles.
#[cfg(all(doctest, feature = "config"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub use causes::{cause_chain, causes};
pub use certificates::{CaBundleError, Certificates};
pub use endpoint::{
    EndpointUrlError, InvalidRegion, Partition, check_endpoint_url, check_region, is_loopback_host,
    is_loopback_url,
};
pub use query::{RequestToSign, SignError, SignedHeaders, sign};
pub use secret_variables::{keep_from_children, secret_variables};

#[cfg(feature = "config")]
pub use {
    caught::{Panicked, caught},
    config::environment::Environment,
    config::error::ConfigError,
    config::keys::Keys,
    config::resolve::{PassedOver, Request, RetryMode, Role, Settings, Source, Sso, resolve},
    config::shared_config::{ConfigFiles, File},
    credentials::SourceError,
    endpoint::{EndpointVariantConflict, check_endpoint_variants, configured_endpoint},
    loader::{AwsConfig, Loader, http_client},
    query::{QueryCall, QueryError, QueryReply},
};
