//! Logging in: from the source credentials to those that are handed out. `run` carries out what
//! `plan` decides; `single_flight` lets concurrent callers share one login.

mod assume;
mod code_session;
pub(crate) mod run;
pub(crate) mod single_flight;
mod used_codes;
