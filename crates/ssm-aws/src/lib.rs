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
//! # Where it departs from botocore
//!
//! | input | botocore | here | why |
//! |---|---|---|---|
//! | a section or key twice | refuses the file | the last value counts | copied files |
//! | a byte order mark | refuses the file | reads past it | Notepad |
//! | a file that cannot be read | treats it as empty | refuses it | a lost role acts as another identity |
//! | `duration_seconds` that is no number | drops it | refuses it | the session would be shorter than asked |
//! | empty values and variables | some count as values | unset | templates and compose files leave them |
//! | line ends behind a variable's value | part of it | cut | `$(cat FILE)`, env files |
//! | AWS_REGION | not read (version 1) | read before AWS_DEFAULT_REGION, as in version 2 | one variable for every SDK |
//! | keys with line breaks, control characters or beyond ASCII | sent | refused | no HTTP header may hold them |
//! | `~/.boto`, `/etc/boto.cfg`, AWS_CREDENTIAL_FILE | read | not read | of boto 2, which is long gone |

mod credentials;
mod environment;
mod error;
mod keys;
mod loader;
mod resolve;
mod shared_config;
mod value;

pub use credentials::SourceError;
pub use environment::Environment;
pub use error::ConfigError;
pub use keys::Keys;
pub use loader::{AwsConfig, Loader, http_client};
pub use resolve::{PassedOver, Request, RetryMode, Role, Settings, Source, Sso, resolve};
pub use shared_config::{ConfigFiles, File};
