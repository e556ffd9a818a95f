//! State machine of smux version 1, as the AWS Systems Manager agent speaks it. It does no I/O
//! and reads no clock.
//!
//! smux cuts one byte stream into many: an 8-byte header (version 1, command, length, stream id,
//! little-endian) before each piece. The agent's side is `xtaci/smux` v1.5.15, vendored in
//! `aws/amazon-ssm-agent` @1c217c89.
//!
//! ```
//! use std::time::Instant;
//! use bytes::{Bytes, BytesMut};
//! use ssm_smux::{Config, Event, Mux, Read, Role};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::now();
//! let mut client = Mux::new(Role::Client, Config::default(), now);
//! let mut server = Mux::new(Role::Server, Config::default(), now);
//!
//! let stream = client.open()?;
//! client.write(stream, Bytes::from_static(b"hello"))?;
//!
//! let mut wire = BytesMut::new();
//! client.poll_transmit(&mut wire, 1024); // SYN and data share the bytes
//! server.handle(wire.freeze(), now)?;
//!
//! assert_eq!(server.poll_event(), Some(Event::Opened(stream)));
//! assert_eq!(server.read(stream), Read::Data(Bytes::from_static(b"hello")));
//! # Ok(())
//! # }
//! ```
//!
//! # What the wire does not have
//!
//! - **No half-close.** A peer that gets FIN closes both ways, so [`Mux::finish`] (local
//!   end-of-file) keeps the FIN back until the answer is in.
//! - **No flow control of a stream.** The only brake is to stop feeding [`Mux::handle`] once
//!   [`Mux::receive_paused`] says so; then every stream waits. Nothing is ever dropped.
//!
//! # What is bounded
//!
//! | what | bound |
//! |---|---|
//! | received, not read | [`Config::session_receive_budget`], plus what one more call hands in |
//! | written, not sent, a stream | [`Config::stream_send_buffer`] |
//! | streams | [`Config::max_streams`] |

mod config;
mod error;
mod frame;
mod mux;
mod stream;
#[cfg(test)]
mod tests;

pub use config::{Config, Keepalive};
pub use error::{OpenError, SmuxError, WriteError};
pub use frame::{MAX_DATA, StreamId};
pub use mux::{Event, Mux, Read, Role, Timer};
