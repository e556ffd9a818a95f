//! The sandbox as it runs: its builder and handle, its HTTP endpoint, and its own paths for scripts.

mod api;
mod control;
pub(crate) mod sandbox;
