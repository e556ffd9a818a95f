//! State machine of smux version 1, as the AWS Systems Manager agent speaks it. It does no I/O and
//! reads no clock; the time is an argument.
//!
//! smux carries many streams over one: an 8-byte header (version 1, command, length, stream id,
//! little-endian) precedes each piece of data. The agent's side is `xtaci/smux` in version 1, as
//! vendored in `aws/amazon-ssm-agent` (`vendor/github.com/xtaci/smux` @1c217c89); facts about it
//! are cited where the code depends on them.
//!
//! ```text
//!  stream ──▶ write ──▶ send buffer ─┐ in turn
//!  stream ──▶ write ──▶ send buffer ─┴──▶ poll_transmit ──▶ one byte stream to the peer
//!
//!  stream ◀── read ◀── received ─┐
//!  stream ◀── read ◀── received ─┴─ handle ◀── one byte stream from the peer
//! ```
//!
//! # The run loop
//!
//! **After every call that takes `&mut self`, drain [`Mux::poll_transmit`] and
//! [`Mux::poll_event`], then sleep until [`Mux::poll_timeout`].**
//!
//! ```no_run
//! use std::time::Instant;
//! use bytes::{Bytes, BytesMut};
//! use ssm_smux::{MuxConfig, MuxEvent, Mux, Read, Role, SmuxError};
//!
//! # fn now() -> Instant { Instant::now() }
//! # fn receive(_: Option<Instant>) -> Option<Bytes> { None }
//! # fn send(_: Bytes) {}
//! # fn deliver(_: Bytes) {}
//! # fn run() -> Result<(), SmuxError> {
//! let mut mux = Mux::new(Role::Client, MuxConfig::default(), now());
//! loop {
//!     while mux.wants_transmit() {
//!         let mut message = BytesMut::with_capacity(1024);
//!         mux.poll_transmit(&mut message, 1024);
//!         send(message.freeze());
//!     }
//!     while let Some(event) = mux.poll_event() {
//!         if let MuxEvent::Readable(stream) | MuxEvent::Finished(stream) = event {
//!             // As far as the reader keeps up: unread data uses up the budget.
//!             while let Read::Data(data) = mux.read(stream) {
//!                 deliver(data);
//!             }
//!         }
//!     }
//!     let wake = mux.poll_timeout().map(|(at, _why)| at);
//!     // Do not receive while `mux.receive_paused()`.
//!     match receive(wake) {
//!         Some(data) => mux.handle(data, now())?,
//!         None => mux.handle_timeout(now())?,
//!     }
//! }
//! # }
//! ```
//!
//! # What the wire does not have
//!
//! - **No half-close.** The agent ends both directions when it receives FIN, so [`Mux::finish`] (local
//!   end-of-file) holds the FIN back while an answer may come. [`Mux::close`] sends the queued data
//!   and ends both directions.
//! - **No flow control per stream.** The only brake is to stop calling [`Mux::handle`] while
//!   [`Mux::receive_paused`]; then every stream waits. Nothing is ever dropped.
//! - **No abnormal end.** FIN is the only end of a stream that the peer can express. An abnormal end of
//!   the session is an error of [`Mux::handle`] or [`Mux::handle_timeout`], and reads as
//!   [`Read::Reset`].
//! - **No sequence numbers.** Bytes that the peer processes twice would be read as other frames. With
//!   [`MuxConfig::repeatable`], each message is built so that its repetition has no effect.
//!
//! # What is bounded
//!
//! | what | bound | default |
//! |---|---|---|
//! | received and unread, per session | [`MuxConfig::session_receive_budget`], and what is handed in beyond it; twice that in memory, see [`ByteQueue`] | 4 MiB |
//! | written and unsent, per stream | [`MuxConfig::stream_send_buffer`]; twice that in memory | 64 KiB |
//! | streams, and unsent FINs | [`MuxConfig::max_streams`] | 65536 |
//! | events not polled yet | a few per stream | |

mod byte_queue;
mod config;
mod error;
mod event;
mod mux;
mod stream_id;
#[cfg(test)]
mod tests;
mod wire;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use byte_queue::ByteQueue;
pub use config::{Keepalive, MuxConfig};
pub use error::{OpenError, SmuxError, WriteError};
pub use event::{MuxEvent, Read};
pub use mux::{Mux, MuxTimer, Role};
pub use stream_id::StreamId;
pub use wire::{MAX_DATA, MIN_REPEATABLE};
