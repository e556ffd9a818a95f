//! Forwards TCP connections over an AWS Systems Manager session: the tokio shell around
//! [`ssm_forward`].
//!
//! ```text
//!  local sockets ── pump ─┐                                     ┌─ websocket ── service ── agent
//!                         ├─ shared state machine ── driver ────┤
//!  TunnelStream ──────────┘   (no I/O, no clock)   (one task)   └─ SessionApi: start, resume, terminate
//! ```
//!
//! Most programs want the crate `ssm-tunnel`, which implements [`SessionApi`] over the AWS SDK.
//! Use this one to bring another way of calling Systems Manager:
//!
//! ```no_run
//! use std::sync::Arc;
//! use ssm_relay::{Listener, Relay, RelayConfig, SessionApi};
//!
//! # async fn run(api: Arc<dyn SessionApi>) -> Result<(), Box<dyn std::error::Error>> {
//! // Bound before the session is started, so that a busy port costs nothing.
//! let listener = Listener::tcp("127.0.0.1:17320".parse()?).await?;
//! let relay = Relay::open(RelayConfig::default(), api, Some(listener)).await?;
//! relay.ready().await?;
//! let end = relay.closed().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Logs
//!
//! This crate logs no payloads, tokens or credentials. The websocket library prints every frame,
//! and so the forwarded bytes, at its own `TRACE` level: leave `tungstenite` below that.

mod api;
mod backoff;
mod clock;
mod config;
mod driver;
mod error;
mod event;
mod link;
mod listener;
mod local;
mod net;
mod outage;
mod pool;
mod pump;
mod relay;
mod shared;
mod stats;
mod stream;
mod supervisor;
mod terminate;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use api::{ApiError, BoxFuture, SessionApi, Ticket};
pub use config::Limits;
pub use error::{End, EndKind, OpenError};
pub use event::{Event, Events, Outcome};
pub use listener::Listener;
pub use net::dial::{Connection, Dialer};
pub use net::error::ConnectError;
pub use net::probe::{Answer, Probe, probe};
pub use net::proxy::{Proxy, ProxyError};
pub use net::signer::Signer;
pub use net::stream_url::{StreamEndpoint, StreamUrlError, is_presigned_url};
pub use net::tls::{CaBundle, CaBundleError};
pub use relay::{OnSessionEnd, Relay, RelayConfig};
pub use ssm_forward::ForwardError;
pub use ssm_protocol::CLIENT_VERSION;
pub use ssm_protocol::payload::Token;
pub use stats::Stats;
pub use stream::TunnelStream;
