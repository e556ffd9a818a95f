//! Where sessions are kept between logins and between programs.

#[cfg(feature = "cli-cache")]
pub(crate) mod aws_cli;
pub(crate) mod cache_key;
pub(crate) mod file;
mod format;
#[cfg(feature = "keyring")]
pub(crate) mod keyring;
pub(crate) mod memory;
pub(crate) mod session_cache;
pub(crate) mod store;
