//! MFA for the AWS SDK for Rust: credentials of a session that an IAM user starts with a code of
//! their device, and of the roles assumed from it. One prompt a day for all callers, programs and
//! roles; no code is ever sent twice, by this program or by others that share its store.
//!
//! ```no_run
//! use aws_config::BehaviorVersion;
//! use ssm_mfa::MfaProvider;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let base = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
//! let provider = MfaProvider::from_profile(Some("dev"), &base).await?;
//! provider.login().await?; // before the first call, so that no operation timeout cuts the prompt
//! let config = provider.sdk_config(&base); // for any SDK client
//! # Ok(())
//! # }
//! ```
//!
//! Without a profile, [`MfaProvider::builder`] takes the keys, the device and the roles.
//!
//! # What a profile may contain
//!
//! Profiles are read from `AWS_CONFIG_FILE` (`~/.aws/config`) and `AWS_SHARED_CREDENTIALS_FILE`
//! (`~/.aws/credentials`), by botocore's rules. An invalid value is an error that names profile, key
//! and value, before a code is asked for.
//!
//! | key | meaning |
//! |---|---|
//! | `mfa_serial` | the device. In a role's profile, for the role; in the source profile only, for the source's own session (as in botocore, it is not inherited). Without one, `AWS_MFA_SERIAL` |
//! | `aws_access_key_id`, … | the keys; also `credential_process`, web identity, SSO and `aws login`, the last two with the features `sso` and `login` of `ssm-aws` |
//! | `role_arn` with `source_profile` or `credential_source` | the role, and the credentials it is assumed with: a chain of profiles, the profile's own keys, `Environment`, `Ec2InstanceMetadata`, `EcsContainer` |
//! | `external_id`, `role_session_name` | passed on to STS |
//! | `duration_seconds` | 900 to 43200; beyond 3600, the role takes the code itself |
//! | `mfa_process` | a program that prints the code, as in aws-vault |
//! | `region` | used if the program sets none |
//!
//! Keys in the environment take precedence over `AWS_PROFILE`, but not over a profile requested by
//! name.
//!
//! # What the code is spent on
//!
//! | situation | calls | next code |
//! |---|---|---|
//! | a user and a device | GetSessionToken, 12 hours | when the session ends |
//! | a role for up to an hour | GetSessionToken, then AssumeRole without a code, renewed before it ends | when the 12 hours end, once for all of the user's roles |
//! | a role for longer | AssumeRole with the code, since a role assumed from a session lasts an hour at most | when the role's session ends |
//! | a role that refuses the session (`aws:MultiFactorAuthAge`) | AssumeRole with a new code, once | when the role's session ends |
//! | temporary credentials and a role | AssumeRole with the code | when the role's session ends |
//!
//! [`Strategy`] changes that. Credentials are replaced when less than 5 minutes are left, or 11 minutes
//! if that takes no code. [`MfaProvider::code_needed_within`] reports in time that a code will be needed.
//!
//! # Where sessions are kept
//!
//! In a [`FileStore`]: a directory of this user, in files named after a hash of the access key, the
//! device, the endpoint and the role's arguments, so that one user's session never serves another.
//! Files that are damaged, or that others could have written, are replaced. While one program asks,
//! the others wait, show on the terminal which one it is, and then use its session. A file system
//! without locks costs a second prompt at worst. The store also remembers a code that was sent, as a
//! salted hash, for the 90 s in which AWS could accept it: no other program sends it again. If the
//! store cannot be written, that holds within one program only. AWS has no call that ends a session:
//! [`MfaProvider::logout`] only forgets it.
//!
//! # How it completes the SDK
//!
//! | the SDK alone | with this crate |
//! |---|---|
//! | ignores `mfa_serial`, has no prompt | asks for the code |
//! | drops a prompt that takes longer than its identity cache waits (about 20 s), and starts another | [`MfaProvider::sdk_config`] installs a cache that waits; the prompt is a task of its own that all callers share |
//! | sends the same code again after an error, but AWS accepts it once | sends each code once; refuses a used code before it is sent |
//! | reports a bare `AccessDenied` | [`MfaError`] tells whether it was the code, the device, the keys or the clock, and what to do |
//!
//! # Comparison
//!
//! AWS CLI 1.45 and aws-config 1.13 were measured; the columns of the CLI's version 2, aws-vault
//! (ByteNess's fork) and granted follow their sources and issues (November 2026). "?": unknown.
//!
//! | | AWS CLI | aws-vault | granted | AWS SDK for Rust | this crate |
//! |---|---|---|---|---|---|
//! | role with `mfa_serial` | yes | yes | yes | no (aws-sdk-rust #527) | yes |
//! | user with `mfa_serial` | no; version 2 by `aws configure mfa-login` | yes | yes | no | yes |
//! | one MFA session for many roles | no | yes | no (#768) | no | yes |
//! | session by default | 1 h, the role's | 1 h, 8 h over a session | 12 h | – | 12 h, with roles of 1 h renewed silently |
//! | role for more than 1 h | yes | yes | no, when chained | no | yes |
//! | kept between programs | file | system's keystore | system's keystore | no | file, system's keystore (feature), or any [`SessionStore`] |
//! | kept apart by source credentials | no | by profile | by profile | – | yes |
//! | lock between programs | no | open (#337) | ? | – | yes |
//! | concurrent callers in a program | wait | – | – | wait, until about 20 s | wait |
//! | asks again after a wrong code | no | no | no | – | up to 3 times, with the cause |
//! | refuses a used code | no | no | no | – | yes |
//! | session's end in a running program | error | – | – | – | asks, or [`MfaError::LoginRequired`] |
//! | leaves standard input and output alone | yes | yes | no | – | yes |
//! | without a terminal | empty message, or reads standard input | error of the driver | ? | – | immediate error with the alternatives |
//! | code from the command line, from a program | no, no | yes, yes | yes, no | – | yes, yes |
//! | explains passkeys | ValidationError | no | ? | – | yes |
//! | survives a damaged cache | no | yes | ? | – | yes |
//!
//! # Features
//!
//! None is on by default.
//!
//! - `cli-cache`: shares role sessions with the AWS CLI through its cache (`~/.aws/cli/cache`), read or
//!   written as the builder's `cli_cache` says. Sessions that the CLI would mix up with another
//!   user's are left out, and so is everything while STS has a custom endpoint, since the cache does
//!   not record the endpoint of a session.
//! - `discover`: finds the user's device if none is configured (`MfaProviderBuilder::find_serial`), by
//!   iam:ListMFADevices; if that is denied, by a guess from the user's name, labelled as such.
//! - `totp`: computes codes from the device's seed, which comes from the environment or a program
//!   (`Totp`). The seed and the access key are then on one machine: **an intruder there has both
//!   factors**. For machines without a person; people keep the device apart.
//! - `keyring`: `KeyringStore` keeps sessions in the system's keyring: Secret Service, macOS
//!   keychain or Windows Credential Manager. It falls back to files.
//!
//! # Secrets
//!
//! Codes are wiped when dropped; keys are in the SDK's `Credentials`, which wipes them too. Copies
//! inside the SDK's request strings cannot be wiped. This crate logs none of them. The SDK logs
//! answers at its `TRACE` level: keep `aws_smithy_runtime` at `DEBUG` or less. This crate never stores long-term
//! keys; it stores sessions, in clear, in files that only this user can read, or in the keyring.
//! Credentials and codes are sent to https endpoints only, or by http to this machine.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod cache;
mod code;
#[cfg(feature = "discover")]
mod discover;
mod error;
mod login;
mod profile;
mod provider;
mod role;
mod serial;
mod session;
mod settings;
mod sts;
mod time;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use builder::MfaProviderBuilder;
#[cfg(feature = "cli-cache")]
pub use cache::aws_cli::entry::CliCache;
#[cfg(feature = "cli-cache")]
pub use cache::aws_cli::role_session::CliRoleSession;
pub use cache::file::FileStore;
#[cfg(feature = "keyring")]
pub use cache::keyring::KeyringStore;
pub use cache::memory::MemoryStore;
pub use cache::store::{LockAttempt, SessionStore, StoreError};
pub use code::chain::CodeSourceChain;
pub use code::given::StaticCode;
pub use code::mfa_code::{InvalidCode, MfaCode};
pub use code::program::askpass::Askpass;
pub use code::program::command::InvalidCommand;
pub use code::program::process::ProcessCode;
pub use code::source::{BoxFuture, Challenge, ChallengeReason, CodeError, MfaCodeSource, from_fn};
pub use code::terminal::{TerminalPrompt, choose_device};
#[cfg(feature = "totp")]
pub use code::totp::{InvalidSeed, Totp};
#[cfg(feature = "discover")]
pub use discover::Devices;
pub use error::{CallContext, CodeFate, MfaError};
pub use provider::MfaProvider;
pub use role::RoleSpec;
pub use serial::{InvalidSerial, MfaSerial};
pub use session::{SessionInfo, SessionKind, SessionSource};
pub use settings::{Interaction, Strategy};
pub use ssm_aws::secret_variables;
pub use zeroize::Zeroizing;
