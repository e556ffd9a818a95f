//! A stand-in for AWS on loopback, to test tools for AWS Systems Manager sessions: STS with MFA,
//! Systems Manager, the message gateway and the agent. Pure Rust, no account, no privileges.
//!
//! # Faults
//!
//! ```
//! use std::time::Duration;
//!
//! use ssm_sandbox::{ApiFault, Faults, Instance, Lossy, Sandbox};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let lossy = Lossy::default().drop(0.01).delay(Duration::from_millis(20));
//! // The same seed loses the same messages. After 500 messages the connection breaks, each time.
//! let faults = Faults::default().seed(7).to_client(lossy).cut_after(500);
//! let sandbox = Sandbox::builder()
//!     // Port 3389 of this instance is really port 5900 of this machine.
//!     .instance(Instance::new("i-0123456789abcdef0").destination(([127, 0, 0, 1], 5900).into()))
//!     .faults(faults)
//!     .enforce_mfa(false)
//!     .start()
//!     .await?;
//! println!("endpoint {}", sandbox.endpoint_url()); // for STS, IAM, EC2 and SSM
//! println!("keys {} {}", sandbox.access_key_id(), sandbox.secret_access_key());
//!
//! // The next StartSession is throttled, and its caller is expected to try again.
//! sandbox.fail_next("StartSession", ApiFault::Throttle);
//! // ... run the tool here, then break every data channel: the tool is expected to resume ...
//! sandbox.cut_websockets();
//! for request in sandbox.requests() {
//!     println!("{} {:?}", request.action, request.outcome);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # MFA
//!
//! ```
//! use std::time::Duration;
//!
//! use ssm_sandbox::{Clock, Role, Sandbox, User};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let clock = Clock::default();
//! let sandbox = Sandbox::builder()
//!     .clock(clock.clone())
//!     .user(User::new("taro").virtual_device("phone").virtual_device("tablet"))
//!     // Assumed with a code that is at most 15 minutes old.
//!     .role(Role::new("ops").max_mfa_age(Duration::from_secs(900)))
//!     .start()
//!     .await?;
//!
//! // What each device shows now. STS accepts a code once, as AWS does.
//! for serial in sandbox.mfa_serials_of("taro") {
//!     let code = sandbox.next_unused_code_of(&serial).unwrap_or_default();
//!     assert_eq!(code.len(), 6);
//!     println!("{serial} shows {code}");
//! }
//! // ... log in with the tool here ...
//!
//! // An hour passes: sessions expire, and devices show other codes.
//! clock.advance(Duration::from_secs(3600));
//! // Or AWS revokes the sessions before the tool expects it.
//! sandbox.expire_sessions();
//! assert_eq!(sandbox.repeated_codes(), 0, "a code was sent twice");
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! - **STS**: GetSessionToken, AssumeRole, GetCallerIdentity, in the Query protocol. Codes are real
//!   TOTP (RFC 6238), one step around now, each accepted once; its error texts are AWS's.
//!   [`User`]s have keys and devices, [`Role`]s a trust policy (MFA and its age, external id) and a
//!   longest session.
//! - **IAM**: ListMFADevices and GetUser, for the caller.
//! - **EC2**: DescribeInstances (filters, pages) and GetPasswordData ([`Instance::password_data`]).
//! - **Systems Manager**: StartSession, ResumeSession, TerminateSession, DescribeSessions,
//!   DescribeInstanceInformation (filters, pages) and GetConnectionStatus, in AWS JSON 1.1. Without
//!   an MFA session it denies explicitly, as an account with the usual policy does;
//!   [`SandboxBuilder::deny`] adds other denials.
//! - Every request's **Signature Version 4** is checked, the websocket's too.
//! - **The message gateway**: a token opens one data channel; the gateway relays, buffers while a side
//!   is away, sends start_publication and pause_publication, and closes on demand.
//! - **The agent** ([`agent`]) behaves like the real one: its pace (one message of 1024 bytes a millisecond,
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
//! There is one account with one policy: no session without MFA. There are no shells or commands, no
//! KMS encryption, and no logging to S3 or CloudWatch.

mod accept;
mod account;
pub mod agent;
mod clock;
mod gateway;
mod server;
mod services;
mod sigv4;
mod state;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use account::instance::Instance;
pub use account::role::Role;
pub use account::user::{AccessKey, User};
pub use clock::Clock;
pub use server::builder::SandboxBuilder;
pub use server::sandbox::Sandbox;
pub use state::faults::{ApiFault, Faults, Lossy, ResumeUrl};
pub use state::requests::{RecordedRequest, RequestOutcome};
