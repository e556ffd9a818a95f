//! The programs: their options, and each one's run from the command line to its exit code.

pub mod doctor;
pub mod forward;
pub mod mfa;
pub mod plugin;
pub mod rdp;
pub mod sandbox;
pub mod sessions;
pub mod ssh_proxy;
pub mod targets;
