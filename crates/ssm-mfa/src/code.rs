//! One-time codes and where they come from.

pub(crate) mod chain;
mod countdown;
pub(crate) mod given;
pub(crate) mod mfa_code;
pub(crate) mod program;
pub(crate) mod source;
pub(crate) mod terminal;
#[cfg(feature = "totp")]
pub(crate) mod totp;
