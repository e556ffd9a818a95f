//! What the drop-in for session-manager-plugin is made of.

pub mod caller;
pub mod request;
pub mod session;
