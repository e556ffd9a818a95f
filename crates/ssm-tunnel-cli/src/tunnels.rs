//! Tunnels as the command line asks for them, from opening to their last event.

pub mod environment;
mod forward;
mod group;
mod local;
mod open;
mod options;
mod ready_file;
mod report;
pub mod target;

pub use forward::{Forward, LocalSide, Spec};
pub use group::Tunnels;
pub use local::Local;
pub use open::{open, or_leave};
pub use options::Aws;
pub use ready_file::ReadyFile;
pub use report::report;
pub use target::Target;
