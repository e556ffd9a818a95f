//! A session as Systems Manager lists it.

use std::time::SystemTime;

use serde::Serialize;

use super::as_text;

/// A session that has not ended. What the service left out is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OpenSession {
    /// Such as `taro-0a1b2c3d4e5f67890`.
    pub id: String,
    /// What it leads to: `i-…`, `mi-…` or `ecs:…`.
    pub target: Option<String>,
    /// `Connected`, `Connecting` or `Disconnected`.
    pub status: Option<String>,
    /// When it was started.
    #[serde(serialize_with = "as_text")]
    pub started: Option<SystemTime>,
    /// The session document.
    pub document_name: Option<String>,
    /// The ARN of the user or role session that started it.
    pub owner: Option<String>,
    /// The reason given when it was started.
    pub reason: Option<String>,
}
