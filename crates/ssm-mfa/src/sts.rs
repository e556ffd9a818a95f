//! Calls of AWS STS, and what their errors mean.

mod client;
mod failure;

pub(crate) use client::{Issued, SourceCredentials, Sts};
pub(crate) use failure::chain;
