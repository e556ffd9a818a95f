//! The builder and handle of a running sandbox, its HTTP endpoint, and its paths for scripts.

mod api;
pub(crate) mod builder;
mod control;
pub(crate) mod sandbox;
