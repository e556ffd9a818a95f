//! What went wrong beside the libraries: errors that have an exit code of their own.

use thiserror::Error;

/// A denial, with what may help.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Denied(pub String);

/// The Remote Desktop client did not do what it should.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct ClientFailed(pub String);
