//! Calls of AWS STS, and what their errors mean.

mod client;
mod endpoint;
mod failure;

pub(crate) use client::{Issued, SourceCredentials, Sts};
#[cfg(feature = "discover")]
pub(crate) use endpoint::{custom_endpoint, is_protected};
pub(crate) use failure::chain;
