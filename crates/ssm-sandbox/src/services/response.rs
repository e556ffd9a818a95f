//! The response of any service, before it becomes HTTP.

use http::StatusCode;

/// A response before it becomes HTTP.
pub(crate) struct ServiceResponse {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    /// The error's code, for the record.
    pub(crate) error: Option<String>,
}
