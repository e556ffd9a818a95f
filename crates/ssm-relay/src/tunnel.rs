//! A tunnel: its sessions, which of them carries a connection, and what follows when one ends.

mod connection;
mod context;
mod pool;
mod sessions;
mod supervisor;
mod tunnel_stream;
mod watch;

pub(crate) use connection::Connection;
pub(crate) use context::TunnelContext;
pub use supervisor::OnSessionEnd;
pub(crate) use supervisor::Supervisor;
pub use tunnel_stream::TunnelStream;
pub(crate) use watch::watch;
