//! Forwards TCP connections over an AWS Systems Manager session: listeners, in-process streams and
//! restarts around [`ssm_session`] and [`ssm_forward`].
//!
//! ```text
//!  local sockets ── copy ─┐                                     ┌─ websocket ── service ── agent
//!                         ├─ session with a port forward ───────┤
//!  TunnelStream ──────────┘  (ssm-session, ssm-forward)         └─ SessionApi: start, resume, terminate
//! ```
//!
//! Most programs want the crate `ssm-tunnel`, which implements [`SessionApi`] over the AWS SDK.
//! Use this one with another implementation of the Systems Manager calls:
//!
//! ```no_run
//! use std::sync::Arc;
//! use ssm_relay::{CallError, Listener, Relay, RelayConfig, SessionApi};
//!
//! # async fn run<A: CallError>(api: Arc<dyn SessionApi<Error = A>>) -> Result<(), Box<dyn std::error::Error>> {
//! // Bound before the session is started, so that a busy port costs nothing.
//! let listener = Listener::tcp("127.0.0.1:17320".parse()?).await?;
//! let relay = Relay::open(RelayConfig::default(), api, Some(listener)).await?;
//! relay.ready().await?;
//! let end = relay.closed().await;
//! # let _ = end;
//! # Ok(())
//! # }
//! ```
//!
//! # Rooms
//!
//! Each imports only from those below it.
//!
//! | where | what it is |
//! |---|---|
//! | `relay.rs` | the builder and handle |
//! | `accept.rs` | carries the connections of listeners |
//! | `tunnel/` | the sessions of a tunnel, which of them carries a connection, the restart policy |
//! | `local/` | listeners, local connections, and copying between one and a stream |
//! | `stream/` | a port forward behind a session's mutex, and its streams |
//!
//! # Logs
//!
//! This crate logs no payloads, tokens or credentials. The websocket library prints every frame,
//! and so the forwarded bytes, at its own `TRACE` level: leave `tungstenite` below that.

mod accept;
mod error;
mod event;
mod limits;
mod local;
mod relay;
mod stats;
mod stream;
mod tunnel;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use error::{End, OpenError};
pub use event::{Event, Events, Outcome};
pub use limits::{Limits, Tuning};
pub use local::Listener;
pub use relay::{Relay, RelayConfig};
pub use ssm_forward::ForwardError;
pub use ssm_session::{
    Answer, ApiError, BoxFuture, CLIENT_VERSION, CaBundle, CaBundleError, CallError, ConnectError,
    Connection, Dialer, EndKind, Probe, Proxy, ProxyError, SessionApi, SessionConnection, Signer,
    StreamEndpoint, StreamUrlError, Token, is_presigned_url, probe,
};
pub use stats::Stats;
pub use tunnel::{OnSessionEnd, TunnelStream};
