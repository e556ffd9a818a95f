//! A seeded, lossy network in virtual time, for the tests of the state machines: the time and the
//! random number generator are arguments, so a seed replays a run exactly.
//!
//! - [`LossyLink`] carries messages one way and loses, duplicates, reorders, delays and damages them
//!   as its [`Faults`] say.
//! - [`Bottleneck`] is a receiver that handles one message after the other at a fixed rate.
//! - [`seeds`] and [`Replayable`] name the seed of a failed run and replay it.

mod bottleneck;
mod link;
mod random;
mod replay;

pub use bottleneck::Bottleneck;
pub use link::{Faults, LossyLink};
pub use random::{happens, size, up_to};
pub use replay::{Replayable, SEED_VARIABLE, seeds, variable};
