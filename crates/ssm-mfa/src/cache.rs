//! Where sessions are kept between logins and between programs.

pub(crate) mod cache_key;
#[cfg(feature = "cli-cache")]
pub(crate) mod cli_cache;
#[cfg(feature = "cli-cache")]
pub(crate) mod cli_session;
pub(crate) mod file;
mod format;
#[cfg(feature = "keyring")]
pub(crate) mod keyring;
pub(crate) mod memory;
pub(crate) mod session_cache;
pub(crate) mod store;
