//! Reach a port on a private machine through AWS Systems Manager. Nothing else needs to be installed:
//! no AWS CLI, no session-manager-plugin, no bastion.
//!
//! ```no_run
//! use ssm_tunnel::Tunnel;
//!
//! # async fn run(config: aws_config::SdkConfig) -> Result<(), ssm_tunnel::Error> {
//! let tunnel = Tunnel::builder("i-0123456789abcdef0")
//!     .remote_port(3389)
//!     .local_port(17320)
//!     .sdk_config(&config)
//!     .open()
//!     .await?;
//! if let Some(address) = tunnel.local_addr() {
//!     println!("connect Remote Desktop to {address}");
//! }
//! tunnel.closed().await?; // or tunnel.close().await: TerminateSession, then gone
//! # Ok(())
//! # }
//! ```
//!
//! Without any local port, in process:
//!
//! ```no_run
//! # async fn run(config: aws_config::SdkConfig) -> Result<(), Box<dyn std::error::Error>> {
//! use ssm_tunnel::Tunnel;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! let tunnel = Tunnel::builder("i-0123456789abcdef0")
//!     .remote_host("database.internal") // as seen from the instance
//!     .remote_port(5432)
//!     .sdk_config(&config)
//!     .open()
//!     .await?;
//! let mut stream = tunnel.connect().await?; // AsyncRead + AsyncWrite
//! stream.write_all(b"hello").await?;
//! let mut answer = Vec::new();
//! stream.read_to_end(&mut answer).await?;
//! tunnel.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! HTTP clients on hyper, gRPC among them, take `HyperConnector` (feature `hyper`).
//!
//! Following what happens:
//!
//! ```no_run
//! # async fn run(tunnel: ssm_tunnel::Tunnel) {
//! use ssm_tunnel::Event;
//!
//! let mut events = tunnel.events(); // the first call gets all events since the tunnel was opened
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::ConnectionClosed { connection, sent, received, .. } => {
//!             println!("connection {connection}: {sent} bytes up, {received} bytes down");
//!         }
//!         Event::Interrupted { reason, .. } => println!("interrupted: {reason}"),
//!         Event::Closed { reason, .. } => println!("over: {reason}"),
//!         _ => {}
//!     }
//! }
//! # }
//! ```
//!
//! # Life of a tunnel
//!
//! - [`TunnelBuilder::open`] binds the local port, calls StartSession, and returns; connections
//!   made before the agent is ready are held. [`Tunnel::ready`] waits for the agent.
//! - The service closes the websocket about once an hour, networks drop, laptops sleep: the session
//!   is resumed with fresh credentials and a newly signed request, and local connections notice only
//!   the pause. [`Limits::resume_budget`] limits how long that is tried.
//! - Credentials that expire within ten minutes and are not renewed are reported by
//!   [`Event::CredentialsExpiring`]: without credentials a session cannot be resumed.
//! - When the session itself is gone, the tunnel ends and reports why; or, with
//!   [`TunnelBuilder::on_session_end`], the next connection gets a new session.
//! - If the *agent's* own connection to the service breaks during an upload, the agent may pass a
//!   message on twice (agents from 3.0.655.0 on). Port forwarding over smux is built to tolerate that.
//!   Session documents that carry one plain stream cannot: their connection is reset
//!   ([`Outcome::Doubled`]).
//! - A connection that is cut off is reset, never closed as if it were complete.
//! - The last event, [`Event::Closed`], reports how the tunnel ended ([`EndKind`]), as
//!   [`Tunnel::closed`] does.
//! - [`Tunnel::close`], or dropping the tunnel, terminates the session, also when the program panics
//!   or its runtime shuts down. After `kill -9`, `panic = "abort"` or a power failure, the session
//!   ends by the account's idle timeout (20 minutes unless configured). If StartSession was under way
//!   when the runtime shut down, the agent ends the session sooner, for lack of a client.
//! - When the SDK retries a StartSession whose answer got lost, the first session has no client; its
//!   agent ends it 15 s later.
//!
//! # Who can use it
//!
//! A local port listens on 127.0.0.1; other machines can connect only after
//! [`TunnelBuilder::expose_to_network`]. On a machine with several users,
//! [`TunnelBuilder::same_user_only`] admits only the current one, and
//! [`TunnelBuilder::local_socket`] listens on a Unix socket that only this user may open. The data
//! channel is TLS (`wss`) to one of Session Manager's own hosts, unless it is on this machine or the
//! program names another host.
//!
//! # MFA
//!
//! Any credentials that an [`aws_config::SdkConfig`] can carry work. The crate `ssm-aws` reads the
//! configuration as the AWS CLI does ([`TunnelBuilder::aws`]); for IAM users who must use MFA, the
//! crate `ssm-mfa` turns a serial number and a code into such credentials.
//!
//! # Corporate networks
//!
//! Calls and data channel go through the proxy of `HTTPS_PROXY` or `ALL_PROXY` (CONNECT or SOCKS 5,
//! with credentials if the URL contains them) except for what `NO_PROXY` lists ([`Proxy`]), and
//! trust the certificates of `AWS_CA_BUNDLE` or the profile's `ca_bundle` ([`TunnelBuilder::aws`],
//! [`CaBundle`]). A program that makes its SDK configuration itself can give it the same transport
//! ([`sdk_config_through`], [`loader_through`]). VPC endpoints: [`TunnelBuilder::endpoint_url`] or
//! `AWS_ENDPOINT_URL_SSM` for Systems Manager, `AWS_ENDPOINT_URL_STS` for STS,
//! [`TunnelBuilder::stream_endpoint`] for the data channel; with private DNS none of them is needed.
//!
//! # Targets
//!
//! A target is an instance id (`i-…`), the id of another managed node (`mi-…`), a container
//! (`ecs:CLUSTER_TASK_RUNTIMEID`), or a name or address of a machine: its `Name` tag, its computer
//! name with or without the domain, or its private IP address. Names and addresses are looked up in
//! the region with DescribeInstanceInformation: the service looks up tags itself, the others are
//! searched for among the first 5000 managed nodes. An id needs no call. If several machines have
//! that name, the one that is online is chosen; if several are online, or none, the error lists them
//! ([`TargetError`]).
//!
//! # IAM
//!
//! The caller needs `ssm:StartSession` on the instance and on the session document,
//! `ssm:ResumeSession` and `ssm:TerminateSession` on its own sessions, and
//! `ssmmessages:OpenDataChannel`. Targets by name need `ssm:DescribeInstanceInformation` on `*`
//! (the service knows no narrower resource); with it, and `ssm:GetConnectionStatus`, the error for a
//! target that is not connected says why. [`ServiceError::denial`] reads what AWS says about a
//! denial.
//!
//! # Remote Desktop
//!
//! `.rdp` files, the client of this machine, and the Administrator's password of a Windows instance are
//! in the crate `ssm-tunnel-cli`.
//!
//! # Tests without AWS
//!
//! The crate `ssm-sandbox` is a stand-in for AWS in the test's own process. This runs as it stands:
//!
//! ```
//! use aws_config::{BehaviorVersion, Region, SdkConfig};
//! use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
//! use ssm_sandbox::{Instance, Sandbox};
//! use ssm_tunnel::Tunnel;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::time::timeout(std::time::Duration::from_secs(120), async {
//! let service = TcpListener::bind("127.0.0.1:0").await?; // what the instance leads to
//! let instance = Instance::new("i-0123456789abcdef0").destination(service.local_addr()?);
//! let sandbox = Sandbox::builder().enforce_mfa(false).instance(instance).start().await?;
//! let (id, secret) = (sandbox.access_key_id(), sandbox.secret_access_key());
//! let keys = Credentials::new(id, secret, None, None, "sandbox");
//! let config = SdkConfig::builder()
//!     .behavior_version(BehaviorVersion::latest())
//!     .region(Region::new("us-east-1"))
//!     .endpoint_url(sandbox.endpoint_url())
//!     .credentials_provider(SharedCredentialsProvider::new(keys))
//!     .build();
//!
//! let tunnel = Tunnel::builder("i-0123456789abcdef0").remote_port(5432).sdk_config(&config).open().await?;
//! let mut stream = tunnel.connect().await?;
//! stream.write_all(b"hello").await?;
//! let (mut served, _) = service.accept().await?;
//! let mut received = [0; 5];
//! served.read_exact(&mut received).await?;
//! assert_eq!(&received, b"hello");
//! tunnel.close().await?;
//! # Ok(())
//! # }).await?
//! # }
//! ```
//!
//! # When it does not work
//!
//! An [`Error`] says who caused it and what to do next; [`Error::kind`] sorts errors for programs:
//!
//! ```no_run
//! # async fn run(builder: ssm_tunnel::TunnelBuilder) {
//! use ssm_tunnel::ErrorKind;
//!
//! match builder.open().await {
//!     Ok(tunnel) => println!("{} is open", tunnel.session_id()),
//!     Err(error) if error.kind() == ErrorKind::Credentials => println!("log in again: {error}"),
//!     Err(error) => println!("{error}"),
//! }
//! # }
//! ```
//!
//! `Inventory` (feature `inventory`) lists managed nodes and the caller's open sessions.
//! `ssm_tunnel::doctor` (feature `doctor`) examines everything between this machine and the target:
//! credentials, MFA, clock, proxy, endpoints, instance, agent, permission.
//!
//! # Logs
//!
//! Nothing in this crate logs secrets or payloads. Two libraries below it do at their own `TRACE`
//! level: keep `aws_smithy_runtime` and `tungstenite` below it.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod aws;
mod builder;
mod causes;
#[cfg(feature = "hyper")]
mod connector;
#[cfg(feature = "doctor")]
pub mod doctor;
mod error;
#[cfg(feature = "inventory")]
mod inventory;
mod lookup;
mod network;
mod node;
mod settings;
mod tunnel;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use aws::query::RegionalCall;
pub use builder::started::StartedSession;
pub use builder::{AttachBuilder, TunnelBuilder};
#[cfg(feature = "hyper")]
pub use connector::{HyperConnector, HyperStream};
pub use error::{
    Denial, DenialCause, End, Error, ErrorKind, PolicyType, ServiceError, TargetError,
};
#[cfg(feature = "inventory")]
pub use inventory::{Inventory, NodeList};
pub use network::{
    CaBundle, CaBundleError, Proxy, ProxyError, aws_loader_through, loader_through,
    sdk_config_through,
};
#[cfg(feature = "inventory")]
pub use node::OpenSession;
pub use node::{ManagedNode, TargetState};
pub use settings::remote_host::is_target_itself;
/// The version of session-manager-plugin that this crate announces to the agent.
pub use ssm_relay::CLIENT_VERSION as PLUGIN_VERSION;
pub use ssm_relay::{
    EndKind, Event, Events, Limits, Listener, OnSessionEnd, Outcome, Stats, Tuning,
};
pub use tunnel::{Tunnel, TunnelStream};
