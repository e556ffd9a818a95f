//! Who asks, and whom: profile, region, MFA, the log.

pub mod log;
mod login;
mod options;

pub use login::{Login, device, mfa_code};
pub use options::{Account, ca_bundle, load};
