use std::time::SystemTime;

/// A request that the sandbox's API got. Secrets are not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The API action, such as `StartSession`.
    pub action: String,
    /// When, by the sandbox's clock.
    pub at: SystemTime,
    /// The access key id it was signed with, if it named one.
    pub access_key_id: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It succeeded.
    Answered,
    /// It was refused with this error code.
    Error(String),
    /// It was handled, and the answer dropped as asked.
    Dropped,
}
