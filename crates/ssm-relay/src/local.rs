//! The local side: where programs connect, and their connections.

pub(crate) mod copy;
mod listener;
mod local_stream;
#[cfg(unix)]
mod socket_file;
mod user;

pub use listener::Listener;
pub(crate) use local_stream::{LocalStream, ResetOnDrop};
pub(crate) use user::Owner;
