//! The three messages of the handshake.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{SessionProperties, null_as_default};

/// The agent's requests to the client before a session starts (payload type 5).
///
/// Source: `aws/amazon-ssm-agent` `agent/session/contracts/model.go` @1c217c89.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HandshakeRequest {
    /// The agent's version: four numbers.
    #[serde(deserialize_with = "null_as_default")]
    pub agent_version: String,
    /// The requested actions.
    #[serde(deserialize_with = "null_as_default")]
    pub requested_client_actions: Vec<RequestedAction>,
}

impl HandshakeRequest {
    /// A request for a session of type `Port`.
    pub fn port(agent_version: impl Into<String>, properties: &SessionProperties) -> Self {
        Self {
            agent_version: agent_version.into(),
            requested_client_actions: vec![RequestedAction {
                action_type: RequestedAction::SESSION_TYPE.to_owned(),
                action_parameters: serde_json::json!({
                    "SessionType": "Port",
                    "Properties": properties,
                }),
            }],
        }
    }
}

/// One action of a [`HandshakeRequest`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RequestedAction {
    /// `SessionType`, `KMSEncryption`, or a type unknown to this crate.
    #[serde(deserialize_with = "null_as_default")]
    pub action_type: String,
    /// The parameters, which depend on the type.
    pub action_parameters: Value,
}

impl RequestedAction {
    /// Announces the kind of session and its properties.
    pub const SESSION_TYPE: &'static str = "SessionType";
    /// Requests encryption with a KMS key; never requested of port sessions.
    pub const KMS_ENCRYPTION: &'static str = "KMSEncryption";

    /// Reads the parameters of a `SessionType` action, the session type and its properties; `None` if they
    /// are unreadable.
    pub fn session_type(&self) -> Option<(String, SessionProperties)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Parameters {
            session_type: String,
            #[serde(default)]
            properties: SessionProperties,
        }
        let parameters: Parameters = Parameters::deserialize(&self.action_parameters).ok()?;
        Some((parameters.session_type, parameters.properties))
    }
}

/// The client's response (payload type 6).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HandshakeResponse {
    /// The client's version, from which the agent derives what the client can do.
    #[serde(deserialize_with = "null_as_default")]
    pub client_version: String,
    /// The outcome of each requested action.
    #[serde(deserialize_with = "null_as_default")]
    pub processed_client_actions: Vec<ProcessedAction>,
    /// Texts for the agent's log; `null` without any.
    pub errors: Option<Vec<String>>,
}

/// One action of a [`HandshakeResponse`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProcessedAction {
    /// Type of the requested action.
    #[serde(default, deserialize_with = "null_as_default")]
    pub action_type: String,
    /// The outcome.
    pub action_status: ActionStatus,
    /// Result, which depends on the type; `null` for `SessionType`.
    #[serde(default)]
    pub action_result: Value,
    /// Why the action failed; empty otherwise.
    #[serde(default, deserialize_with = "null_as_default")]
    pub error: String,
}

/// Outcome of a requested action: 1, 2 or 3 on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum ActionStatus {
    /// 1: done.
    Success,
    /// 2: failed; the error says why.
    Failed,
    /// 3: the action is unknown.
    Unsupported,
}

impl From<ActionStatus> for u8 {
    fn from(status: ActionStatus) -> Self {
        match status {
            ActionStatus::Success => 1,
            ActionStatus::Failed => 2,
            ActionStatus::Unsupported => 3,
        }
    }
}

impl TryFrom<u8> for ActionStatus {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        match value {
            1 => Ok(Self::Success),
            2 => Ok(Self::Failed),
            3 => Ok(Self::Unsupported),
            other => Err(format!("ActionStatus {other} is not 1, 2 or 3")),
        }
    }
}

/// The end of the handshake (payload type 7): the session has started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HandshakeComplete {
    /// Duration of the handshake in nanoseconds, as Go serialises `time.Duration`.
    #[serde(deserialize_with = "null_as_default")]
    pub handshake_time_to_complete: i64,
    /// Text to show to the user; may be empty.
    #[serde(deserialize_with = "null_as_default")]
    pub customer_message: String,
}
