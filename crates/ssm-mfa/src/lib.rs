//! MFA for the AWS SDK for Rust: credentials of a session that an IAM user starts with a code of
//! their device, and of the roles taken on from there. One prompt a day, however many callers,
//! programs and roles; no code is ever sent twice, by this program or by others that share its store.
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
//! # What a profile may say
//!
//! Read from `AWS_CONFIG_FILE` (`~/.aws/config`) and `AWS_SHARED_CREDENTIALS_FILE`
//! (`~/.aws/credentials`), by botocore's rules. A value that cannot work is an error that names
//! profile, key and value, before anybody is asked for a code.
//!
//! | key | meaning |
//! |---|---|
//! | `mfa_serial` | the device. In a role's profile, for the role; in its source profile only, for the source's own session (it is not inherited, as in botocore). Where there is none, `AWS_MFA_SERIAL` |
//! | `aws_access_key_id`, … | the keys; `credential_process`, web identity, SSO and `aws login` too, the last two with the features `sso` and `login` of `ssm-aws` |
//! | `role_arn` with `source_profile` or `credential_source` | the role, and what it is taken on with: a chain of profiles, the profile's own keys, `Environment`, `Ec2InstanceMetadata`, `EcsContainer` |
//! | `external_id`, `role_session_name` | passed on |
//! | `duration_seconds` | 900 to 43200; more than 3600 makes the role take the code itself |
//! | `mfa_process` | a program that prints the code, as in aws-vault |
//! | `region` | used when the program has none |
//!
//! Keys in the environment go before `AWS_PROFILE`, but not before a profile asked for by name.
//!
//! # What the code is spent on
//!
//! | what there is | calls | asks again |
//! |---|---|---|
//! | a user and a device | GetSessionToken, 12 hours | when that ends |
//! | a role for up to an hour | GetSessionToken, then AssumeRole without a code, renewed ahead of its end | when the 12 hours end, once for all of the user's roles |
//! | a role for longer | AssumeRole with the code: a role over a session lasts an hour at most | when that ends |
//! | a role that turns the session down (`aws:MultiFactorAuthAge`) | AssumeRole with a fresh code, once | when that ends |
//! | temporary credentials and a role | AssumeRole with the code | when that ends |
//!
//! [`Strategy`] says otherwise. Credentials with less than 5 minutes left are replaced, those that take no code with less than 11;
//! [`MfaProvider::code_needed_within`] tells in time that a code is going to be needed.
//!
//! # Where sessions are kept
//!
//! In a [`FileStore`]: a directory of this user's own, under a name made of the access key, the
//! device, the endpoint and the role's arguments, so that one user's session never serves another.
//! Files that are damaged or that others could have written are replaced. While one program asks,
//! the others wait for it, tell on the terminal which one it is, and use its session. A file system
//! without locks costs a second prompt at worst. A code that was sent is remembered there too, as a
//! salted hash with its device, for the 90 s in which AWS could take it: no other program sends it
//! again. Where the store cannot be written, that holds within one program only. AWS has no call that ends a session:
//! [`MfaProvider::logout`] forgets it.
//!
//! # What the SDK does, and what this crate does about it
//!
//! | the SDK alone | with this crate |
//! |---|---|
//! | ignores `mfa_serial`, has no prompt | asks for the code |
//! | drops a prompt that takes longer than its identity cache waits (about 20 s), and starts another | [`MfaProvider::sdk_config`] installs a cache that waits; the prompt is a task of its own that all callers share |
//! | sends the same code again after an error, which AWS accepts once | sends each code once; a code used before is refused before it is sent |
//! | shows a bare `AccessDenied` | [`MfaError`] says whether it was the code, the device, the keys or the clock, and what to do |
//!
//! # What others do
//!
//! AWS CLI 1.45 and aws-config 1.13 were measured; the CLI's version 2, aws-vault (ByteNess's fork)
//! and granted are as their sources and issues say (November 2026). "?": not found out.
//!
//! | | AWS CLI | aws-vault | granted | AWS SDK for Rust | this crate |
//! |---|---|---|---|---|---|
//! | role with `mfa_serial` | yes | yes | yes | no (aws-sdk-rust #527) | yes |
//! | user with `mfa_serial` | no; version 2 by `aws configure mfa-login` | yes | yes | no | yes |
//! | one MFA session for many roles | no | yes | no (#768) | no | yes |
//! | session by default | 1 h, the role's | 1 h, 8 h over a session | 12 h | – | 12 h, with roles of 1 h renewed silently |
//! | role for more than 1 h | yes | yes | no, when chained | no | yes |
//! | kept between programs | file | system's keystore | system's keystore | no | file, system's keystore (feature), or any [`SessionStore`] |
//! | kept apart by whose keys | no | by profile | by profile | – | yes |
//! | lock between programs | no | open (#337) | ? | – | yes |
//! | concurrent callers in a program | wait | – | – | wait, until about 20 s | wait |
//! | asks again after a wrong code | no | no | no | – | up to 3 times, with the cause |
//! | refuses a code used before | no | no | no | – | yes |
//! | session's end in a running program | error | – | – | – | asks, or [`MfaError::LoginRequired`] |
//! | leaves standard input and output alone | yes | yes | no | – | yes |
//! | without a terminal | empty message, or reads standard input | error of the driver | ? | – | an error with the ways out, at once |
//! | code from the command line, from a program | no, no | yes, yes | yes, no | – | yes, yes |
//! | explains passkeys | ValidationError | no | ? | – | yes |
//! | survives a damaged cache | no | yes | ? | – | yes |
//!
//! # Features
//!
//! None is on by default.
//!
//! - `cli-cache`: role sessions are shared with the AWS CLI through its cache
//!   (`~/.aws/cli/cache`), read or written as the builder's `cli_cache` says; never a session that
//!   the CLI would mix up with another user's, and nothing while STS has another endpoint than AWS's
//!   own, since the cache does not say where a session comes from.
//! - `discover`: the user's device is found where none is named
//!   (`MfaProviderBuilder::find_serial`): by iam:ListMFADevices; where that is denied, a guess
//!   from the user's name, called one.
//! - `totp`: codes are made from the device's seed, which comes from the environment or a program
//!   (`Totp`). The seed and the access key are on one machine then: **who gets into it has both
//!   factors**. For machines without a person; people keep the device apart.
//! - `keyring`: `KeyringStore` keeps sessions in the system's keyring: Secret Service, macOS
//!   keychain or Windows Credential Manager. It falls back to the files.
//!
//! # Secrets
//!
//! Codes are wiped when dropped; keys are in the SDK's `Credentials`, which wipes them too. Copies
//! inside the SDK's request strings cannot be wiped. Nothing here is logged. The SDK logs answers
//! at its `TRACE` level: keep `aws_smithy_runtime` below it. Long-term keys are never kept by this
//! crate; sessions are, in clear, in files that only this user can read, or in the keyring. Credentials and
//! codes go to https endpoints only, or by http to this machine.

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
pub use cache::cli_cache::CliCache;
#[cfg(feature = "cli-cache")]
pub use cache::cli_session::CliRoleSession;
pub use cache::file::FileStore;
#[cfg(feature = "keyring")]
pub use cache::keyring::KeyringStore;
pub use cache::memory::MemoryStore;
pub use cache::store::{Lock, SessionStore, StoreError};
pub use code::chain::CodeSourceChain;
pub use code::given::StaticCode;
pub use code::mfa_code::{InvalidCode, MfaCode};
pub use code::program::askpass::Askpass;
pub use code::program::command::InvalidCommand;
pub use code::program::process::ProcessCode;
pub use code::source::{BoxFuture, Challenge, CodeError, MfaCodeSource, Reason, from_fn};
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
