//! State machine of the AWS Systems Manager Session Manager data channel: frames, handshake,
//! reliable delivery. It does no I/O, spawns nothing and reads no clock; time and randomness are
//! arguments.
//!
//! ```text
//!  bytes of the port ──▶ send ──▶ outbox ──▶ poll_transmit ──▶ websocket
//!                                   ▲ window, retransmission
//!  SessionEvent::Data ◀── poll_event ◀── inbox ◀── handle_message ◀── websocket
//! ```
//!
//! # The run loop
//!
//! **After every call that takes `&mut self`, drain [`Session::poll_transmit`] and
//! [`Session::poll_event`], then sleep until [`Session::poll_timeout`].**
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//! use bytes::Bytes;
//! use ssm_protocol::{Session, SessionConfig, SessionError};
//!
//! # fn now() -> Instant { Instant::now() }
//! # fn receive(_: Option<Instant>) -> Option<Bytes> { None }
//! # fn websocket_send(_: Bytes) {}
//! # fn run(unix_time: Duration) -> Result<(), SessionError> {
//! let mut session = Session::client(SessionConfig::default(), [7; 32], now(), unix_time);
//! session.connected(now()); // the websocket is open and OpenDataChannel was sent
//! loop {
//!     while let Some(message) = session.poll_transmit(now()) {
//!         websocket_send(message); // one binary frame each
//!     }
//!     while let Some(event) = session.poll_event() {
//!         println!("{event:?}");
//!     }
//!     let wake = session.poll_timeout().map(|(at, _why)| at);
//!     match receive(wake) {
//!         Some(message) => session.handle_message(message, now())?,
//!         None => session.handle_timeout(now())?,
//!     }
//! }
//! # }
//! ```
//!
//! # What is bounded
//!
//! | what | bound | default |
//! |---|---|---|
//! | unacknowledged bytes | [`SessionConfig::max_window`] | 4 MiB |
//! | memory for sending: unacknowledged messages with their headers, and the slots of acknowledged ones behind a missing one | twice [`SessionConfig::max_window`] plus 256 KiB | 8.25 MiB |
//! | messages held ahead of a missing one, each with its overhead in memory | [`SessionConfig::reorder_bytes`] | 64 MiB |
//! | queued acknowledgements | fixed: 8,192 of 24 bytes, see [`Session::receive_paused`] | 192 KiB |
//!
//! Delivered data is handed over as [`SessionEvent::Data`]; its memory is the caller's to bound. Stop
//! calling [`Session::handle_message`] (stop reading the websocket), and TCP back-pressure stops the peer.

mod config;
mod error;
mod event;
pub mod payload;
mod session;
#[cfg(test)]
mod tests;
mod version;
pub mod wire;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use config::{CLIENT_VERSION, SessionConfig};
pub use error::SessionError;
pub use event::{Ready, SessionEvent};
pub use session::{NotReady, Session, SessionTimer, Stats};
pub use version::Capabilities;
