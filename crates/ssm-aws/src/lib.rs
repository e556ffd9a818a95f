//! AWS configuration for the AWS SDK, read as the AWS CLI reads it.
//!
//! The SDK's own parser is stricter than botocore's: one odd line stops every profile, or takes a
//! section out without a word, and a lost `role_arn` or `mfa_serial` means acting as another
//! identity. This crate reads `config` and `credentials` by botocore's rules and hands the SDK
//! what is in use:
//!
//! ```no_run
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
//! | [`resolve`] | pure: files, environment and a [`Request`] to [`Settings`] |
//! | [`Loader`] | reads files and environment; [`AwsConfig`] has settings, SDK configuration, credentials |
//! | [`Source`], [`Role`] | where the credentials begin, and what is assumed from there |
//!
//! Where it departs from botocore on purpose, and why, is a table in the crate's README;
//! `tests/botocore.sh` holds everything else to botocore itself, by generated files and environments.

mod caught;
mod credentials;
mod environment;
mod error;
mod keys;
mod loader;
mod resolve;
mod secret_variables;
mod shared_config;
mod value;

pub use caught::{Panicked, caught};
pub use credentials::SourceError;
pub use environment::Environment;
pub use error::ConfigError;
pub use keys::Keys;
pub use loader::{AwsConfig, Loader, http_client};
pub use resolve::{PassedOver, Request, RetryMode, Role, Settings, Source, Sso, resolve};
pub use secret_variables::{keep_from_children, secret_variables};
pub use shared_config::{ConfigFiles, File};
