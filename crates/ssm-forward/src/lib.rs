//! State machine of a port forward over an AWS Systems Manager session: the data channel
//! ([`ssm_protocol`]) and, above it, smux ([`ssm_smux`]) or basic mode. It does no I/O and reads no
//! clock; the time is an argument.
//!
//! ```text
//!  stream ──▶ write ──▶ Mux, or basic mode ──▶ Session ──▶ poll_transmit ──▶ websocket ──▶ agent
//!
//!  stream ◀── read ◀─── Mux, or basic mode ◀── Session ◀── handle_message ◀── websocket ◀── agent
//! ```
//!
//! # The run loop
//!
//! **After every call that takes `&mut self`, drain [`PortForward::poll_transmit`] and
//! [`PortForward::poll_event`], then sleep until [`PortForward::poll_timeout`].**
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//!
//! use bytes::Bytes;
//! use ssm_forward::{ForwardConfig, ForwardError, ForwardEvent, PortForward, StreamRead};
//!
//! # fn now() -> Instant { Instant::now() }
//! # fn unix_time() -> Duration { Duration::from_secs(1_800_000_000) }
//! # fn seed() -> [u8; 32] { [0; 32] }
//! # fn receive(_: Option<Instant>) -> Option<Bytes> { None }
//! # fn send(_: Bytes) {}
//! # fn deliver(_: Bytes) {}
//! # fn run() -> Result<(), ForwardError> {
//! // `open_data_channel` is the shell's to send: each websocket begins with it.
//! let mut forward = PortForward::new(ForwardConfig::default(), seed(), now(), unix_time());
//! forward.connected(now());
//! loop {
//!     while let Some(message) = forward.poll_transmit(now()) {
//!         send(message);
//!     }
//!     while let Some(event) = forward.poll_event() {
//!         match event {
//!             ForwardEvent::Ready => {
//!                 if let Some(stream) = forward.open() {
//!                     let request = Bytes::from_static(b"GET / HTTP/1.0\r\n\r\n");
//!                     let _ = forward.write(stream, request);
//!                 }
//!             }
//!             ForwardEvent::Readable(stream) => {
//!                 while let StreamRead::Data(data) = forward.read(stream) {
//!                     deliver(data);
//!                 }
//!             }
//!             ForwardEvent::ChannelClosed { .. } => return Ok(()),
//!             _ => {}
//!         }
//!     }
//!     // Do not receive while `receive_paused()` or `acknowledgements_wait()`. Where the websocket
//!     // is lost: `disconnected`, and `connected` once there is another.
//!     match receive(forward.poll_timeout()) {
//!         Some(message) => forward.handle_message(message, now())?,
//!         None => forward.handle_timeout(now())?,
//!     }
//! }
//! # }
//! ```
//!
//! # Two modes
//!
//! | | smux | basic mode |
//! |---|---|---|
//! | when | port forwarding documents, agents above 3.0.196.0 | older agents, and the SSH document |
//! | streams at once | up to 65536 | one; the next after [`PortForward::close`] or [`PortForward::reset`] |
//! | a refused connection | [`StreamRead::Refused`] | the agent ends the session |
//! | bytes processed twice | made harmless ([`ssm_smux::MuxConfig::repeatable`]) | [`StreamRead::Doubled`], unless the stream carries SSH |
//!
//! # What is bounded
//!
//! Memory is independent of transfer size: full buffers apply back-pressure.
//!
//! | what | bound | default |
//! |---|---|---|
//! | sent and unacknowledged, received ahead of a missing message, acknowledgements | [`ForwardConfig::session`], see [`ssm_protocol`] | 4 MiB, 64 MiB, 192 KiB |
//! | received and not read | [`ForwardConfig::session_receive_budget`], and what is handed in beyond it; in memory twice that | 4 MiB |
//! | written and not sent, per stream | [`ForwardConfig::stream_send_buffer`]; in memory twice that | 64 KiB |

mod config;
mod error;
mod event;
mod port_forward;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use config::ForwardConfig;
pub use error::{ForwardError, StreamWriteError};
pub use event::{ForwardEvent, StreamRead};
pub use port_forward::PortForward;
pub use ssm_smux::StreamId;
