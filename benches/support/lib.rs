//! Shared by the benchmarks: a peer with almost no cost, the bare loops that show the maximum its websocket
//! carries, and the relay over the same websocket.

mod api;
mod bare;
mod frames;
mod pairs;
mod peer;
mod plot;

pub use api::{Error, relay};
pub use bare::{Bare, echo};
pub use pairs::{Channels, Muxes};
pub use peer::{Mode, Peer, serve_all};
pub use plot::{Curve, draw, is_full_run, plots};

/// Payload bytes of one message, as both reference peers send.
pub const PAYLOAD: usize = 1024;
