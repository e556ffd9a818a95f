//! The end of a channel.

use serde::{Deserialize, Serialize};

use super::null_as_default;

/// Body of a `channel_closed` message, by which the service ends a session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ChannelClosed {
    /// UUID of this message, as text.
    #[serde(deserialize_with = "null_as_default")]
    pub message_id: String,
    /// When the channel was closed, as text.
    #[serde(deserialize_with = "null_as_default")]
    pub created_date: String,
    /// The addressee.
    #[serde(deserialize_with = "null_as_default")]
    pub destination_id: String,
    /// Id of the session.
    #[serde(deserialize_with = "null_as_default")]
    pub session_id: String,
    /// `channel_closed`.
    #[serde(deserialize_with = "null_as_default")]
    pub message_type: String,
    /// 1.
    #[serde(deserialize_with = "null_as_default")]
    pub schema_version: i64,
    /// Text for the user; may be empty. Reports an agent's failure to start.
    #[serde(deserialize_with = "null_as_default")]
    pub output: String,
}

impl ChannelClosed {
    /// Reads the JSON text; missing and unknown fields are tolerated.
    ///
    /// # Errors
    /// When `json` is not a JSON object with fields of these types.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}
