//! Remote Desktop through a tunnel: the client that is started, and the Administrator's password.

mod clipboard;
mod launch;
mod password;
mod session;

pub use launch::{Desired, Desktop, reachable};
pub use password::{PasswordOptions, Wanted};
pub use session::run;
