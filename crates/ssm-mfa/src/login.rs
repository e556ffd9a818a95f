//! Logging in: from the source credentials to the session that is handed out.
//!
//! `plan` decides, and is pure; `run` gathers the facts and executes the plan by `code_session` (ask
//! for a code and spend it) and `assume` (the roles that follow). `single_flight` lets concurrent
//! callers share one login; `used_codes` keeps a code from being sent twice.

mod assume;
mod code_session;
mod plan;
pub(crate) mod run;
pub(crate) mod single_flight;
mod used_codes;
