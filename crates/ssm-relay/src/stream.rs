//! Streams of a port forward over a session.

mod channel;
mod handle;

pub(crate) use channel::{ForwardChannel, ForwardReport, Session};
pub(crate) use handle::{StreamError, StreamHandle, WaitingConnection};
