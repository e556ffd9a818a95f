//! Calls of AWS STS, and what their errors mean.

mod client;
mod failure;

pub(crate) use client::{AssumeRole, Issued, SourceCredentials, Sts};
