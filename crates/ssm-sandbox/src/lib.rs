//! A stand-in for AWS on loopback, to test tools for AWS Systems Manager sessions with: STS with
//! MFA, Systems Manager, the message gateway and the agent. Pure Rust, no account, no privileges.
//!
//! ```
//! use ssm_sandbox::{Instance, Sandbox};
//!
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let sandbox = Sandbox::builder()
//!     // Port 3389 of this instance is really port 5900 of this machine.
//!     .instance(Instance::new("i-0123456789abcdef0").destination(([127, 0, 0, 1], 5900).into()))
//!     .start()
//!     .await?;
//! println!("endpoint {}", sandbox.endpoint_url()); // for STS, IAM, EC2 and SSM
//! println!("keys {} {}", sandbox.access_key_id(), sandbox.secret_access_key());
//! println!("device {} shows {}", sandbox.mfa_serial(), sandbox.next_unused_code());
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! - **STS**: GetSessionToken, AssumeRole, GetCallerIdentity, in the Query protocol. Codes are real
//!   TOTP (RFC 6238), one step around now, each good once; the texts of its refusals are AWS's.
//!   [`User`]s have keys and devices, [`Role`]s a trust policy (MFA and its age, external id) and a
//!   longest session.
//! - **IAM**: ListMFADevices and GetUser, for oneself.
//! - **EC2**: DescribeInstances (filters, pages) and GetPasswordData ([`Instance::password_data`]).
//! - **Systems Manager**: StartSession, ResumeSession, TerminateSession, DescribeSessions,
//!   DescribeInstanceInformation (filters, pages) and GetConnectionStatus, in AWS JSON 1.1. Without
//!   an MFA session it denies explicitly, as an account with the usual policy does; other denials
//!   as [`SandboxBuilder::deny`] says.
//! - Every request's **Signature Version 4** is checked, the websocket's too.
//! - **The message gateway**: tokens are good for one opening; it relays, buffers while a side is
//!   away, publishes, and closes on demand.
//! - **The agent** works as the real one: its pace (one message of 1024 bytes a millisecond,
//!   [`Instance::paced`]), its retransmission, its connections made one at a time, its versions
//!   ([`Instance::agent_version`]), its denylist of remote hosts ([`Instance::resolves`]). The
//!   destination is a real TCP connection.
//! - **Shell documents** start sessions too: the data channel of a shell or an interactive command
//!   has no handshake, that of a non-interactive command has one. The account has no shell: the first
//!   output says so, and `channel_closed` gives the agent's text for a command that did not start.
//! - **Faults**, seeded, on the data channel ([`Faults`]) and on API calls ([`ApiFault`]).
//!
//! # What it does not do
//!
//! It is one account. Its policy is one sentence: no session without MFA. It runs no shells and no
//! commands, and has no KMS encryption, no S3 or CloudWatch logging.

mod account;
// Not an interface: the simulator of `ssm-relay` runs the same agent in virtual time.
#[doc(hidden)]
pub mod agent;
mod api;
mod clock;
mod control;
mod document;
mod ec2;
mod faults;
mod gateway;
mod iam;
mod instance;
mod query;
mod requests;
mod resolver;
mod role;
mod sandbox;
mod sigv4;
mod ssm;
mod state;
mod sts;
mod totp;
mod user;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use clock::Clock;
pub use faults::{ApiFault, Faults, Lossy, ResumeUrl};
pub use instance::Instance;
pub use requests::{Outcome, RecordedRequest};
pub use role::Role;
pub use sandbox::{Sandbox, SandboxBuilder};
pub use user::{AccessKey, User};
