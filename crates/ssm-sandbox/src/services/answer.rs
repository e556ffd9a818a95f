//! What a call of any service comes to, before it becomes HTTP.

use http::StatusCode;

/// An API's answer before it becomes HTTP.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
    /// The error's code, for the record.
    pub(crate) error: Option<String>,
}
