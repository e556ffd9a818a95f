//! What people see and scripts get: lines, JSON objects, a status line, an exit code.

mod events;
pub mod exit;
mod failure;
mod format;
mod printer;
pub mod shell;
mod status;

pub use failure::{ClientFailed, Denied};
pub use format::Format;
pub use printer::Output;
pub use status::Status;
