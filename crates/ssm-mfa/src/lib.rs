//! MFA for the AWS SDK for Rust: credentials of a session that an IAM user starts with a code of
//! their device, and of the roles taken on from there. One prompt a day, however many callers,
//! programs and roles; no code is ever sent twice.
//!
//! ```no_run
//! use aws_config::BehaviorVersion;
//! use ssm_mfa::MfaProvider;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let base = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
//! let provider = MfaProvider::builder()
//!     .sts_config(&base)
//!     .serial("arn:aws:iam::123456789012:mfa/taro".parse()?)
//!     .build()?; // asks on the terminal, unless `code_source` says otherwise
//! provider.login().await?; // before the first call, so that no operation timeout cuts the prompt
//! let config = provider.sdk_config(&base); // for any SDK client
//! # Ok(())
//! # }
//! ```
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
//! # Secrets
//!
//! Codes are wiped when dropped; keys are in the SDK's `Credentials`, which wipes them too. Copies
//! inside the SDK's request strings cannot be wiped. Nothing here is logged. The SDK logs answers
//! at its `TRACE` level: keep `aws_smithy_runtime` below it.

mod acquire;
mod builder;
#[cfg(feature = "cli-cache")]
mod cli_cache;
mod code;
mod error;
mod flight;
mod guard;
mod keeper;
mod profile;
mod provider;
mod role;
mod serial;
mod session;
mod source;
mod store;
mod sts;
mod time;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use acquire::Strategy;
pub use builder::MfaProviderBuilder;
#[cfg(feature = "cli-cache")]
pub use cli_cache::CliCache;
pub use code::{InvalidCode, MfaCode};
pub use error::{CallContext, CodeFate, MfaError};
pub use provider::{Interaction, MfaProvider};
pub use role::RoleSpec;
pub use serial::{InvalidSerial, MfaSerial};
pub use session::{SessionInfo, SessionKind, SessionSource};
pub use source::askpass::Askpass;
pub use source::command::InvalidCommand;
pub use source::first::FirstOf;
pub use source::process::ProcessCode;
pub use source::terminal::{TerminalPrompt, choose_device};
pub use source::{BoxFuture, Challenge, CodeError, MfaCodeSource, Reason, StaticCode, from_fn};
pub use store::file::FileStore;
pub use store::memory::MemoryStore;
pub use store::{Lock, SessionStore, StoreError};
