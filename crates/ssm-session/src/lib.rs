//! Keeps the data channel of an AWS Systems Manager session alive: a tokio shell around any state
//! machine that is a [`DataChannel`].
//!
//! ```text
//!  application ─── SessionState ──── session task ──────────┐                 ┌─ websocket ── service ── agent
//!                 (a DataChannel      (one per session)     ├─ TLS, proxy, ───┤
//!                  behind a mutex)                          │  signature      └─ …the next one, resumed
//!                                                           └─ SessionApi: start, resume, terminate
//! ```
//!
//! A session opens the signed websocket through proxies and TLS, sends OpenDataChannel, pings, resumes
//! over lost websockets with a back-off, and terminates the session at its end, also when the runtime is
//! shut down. What the messages carry is the state machine's: a port forward (`ssm-relay` with
//! `ssm-forward`), a shell, or anything else.
//!
//! ```no_run
//! use std::sync::Arc;
//! use ssm_session::{
//!     CallError, CancellationToken, DataChannel, SessionApi, SessionContext, SessionOptions,
//! };
//!
//! # async fn run<C: DataChannel, A: CallError>(
//! #     api: Arc<dyn SessionApi<Error = A>>,
//! #     channel: C,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let context = SessionContext::new(api, SessionOptions::default());
//! let started = context.start().await?;
//! let closing = CancellationToken::new();
//! let session = started.run(channel, closing.clone(), |_event| {});
//! session.ready().await?;
//! // …use the state machine through `session.state().lock()`…
//! closing.cancel();
//! let end = session.ended().await;
//! # let _ = end;
//! # Ok(())
//! # }
//! ```
//!
//! # Rooms
//!
//! | folder | what it is |
//! |---|---|
//! | `net/` | the way to an endpoint: URLs, proxies, TLS, signature, websocket |
//! | `session/` | one session from StartSession to TerminateSession; it uses `net/` |
//!
//! # Logs
//!
//! This crate logs no payloads, tokens or credentials. The websocket library prints every frame,
//! payload included, at its own `TRACE` level: leave `tungstenite` below that.

mod api;
mod backoff;
mod clock;
mod data_channel;
mod end;
mod net;
mod session;
mod timeouts;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use api::{ApiError, BoxFuture, CallError, SessionApi, SessionConnection};
pub use backoff::Backoff;
pub use clock::Clock;
pub use data_channel::{ChannelEvent, DataChannel};
pub use end::{End, EndKind};
pub use net::dial::{Connection, Dialer};
pub use net::error::ConnectError;
pub use net::probe::{Answer, Probe, probe};
pub use net::proxy::{Proxy, ProxyError};
pub use net::signer::Signer;
pub use net::stream_url::{StreamEndpoint, StreamUrlError, is_presigned_url};
pub use net::tls::{CaBundle, CaBundleError};
pub use session::{
    SessionContext, SessionEvent, SessionGuard, SessionHandle, SessionOptions, SessionState, Stage,
    StartError, StartedSession,
};
pub use ssm_protocol::CLIENT_VERSION;
pub use ssm_protocol::payload::Token;
pub use timeouts::Timeouts;
pub use tokio_util::sync::CancellationToken;
