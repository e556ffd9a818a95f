use std::time::Instant;

use crate::error::SessionError;
use crate::event::Ready;
use crate::payload::{
    ActionStatus, HandshakeRequest, HandshakeResponse, ProcessedAction, RequestedAction,
    SessionProperties,
};

/// How far the handshake is.
#[derive(Debug)]
pub(super) enum Handshake {
    /// Client: the agent has not asked yet.
    AwaitingRequest,
    /// Client: answered.
    AwaitingComplete {
        agent_version: String,
        properties: SessionProperties,
    },
    /// Client: complete, but the agent may still throw data away. `ready` until it was announced.
    Settling {
        until: Instant,
        ready: Option<Ready>,
    },
    /// Agent: asked.
    AwaitingResponse { request: HandshakeRequest },
    /// Both: data may flow.
    Complete,
}

/// The client's answer to a request, and what follows from it.
pub(super) fn answer(
    request: &HandshakeRequest,
    client_version: &str,
) -> (HandshakeResponse, Result<SessionProperties, SessionError>) {
    let mut known = None;
    let mut failed = None;
    let mut processed = Vec::with_capacity(request.requested_client_actions.len());
    for action in &request.requested_client_actions {
        let (status, failure) = match action.action_type.as_str() {
            RequestedAction::SESSION_TYPE => match action.session_type() {
                Some((kind, properties)) if kind == "Port" => {
                    known = Some(properties);
                    (ActionStatus::Success, None)
                }
                other => {
                    let kind = other.map_or_else(|| "unreadable".to_owned(), |(kind, _)| kind);
                    (ActionStatus::Failed, Some(SessionError::SessionType(kind)))
                }
            },
            RequestedAction::KMS_ENCRYPTION => (
                ActionStatus::Failed,
                Some(SessionError::EncryptionRequested),
            ),
            _ => (ActionStatus::Unsupported, None),
        };
        let error = match (&failure, status) {
            (Some(failure), _) => failure.to_string(),
            (None, ActionStatus::Unsupported) => {
                format!("unsupported action {}", action.action_type)
            }
            (None, _) => String::new(),
        };
        processed.push(ProcessedAction {
            action_type: action.action_type.clone(),
            action_status: status,
            action_result: serde_json::Value::Null,
            error,
        });
        failed = failed.or(failure);
    }
    let outcome = match (failed, known) {
        (Some(failure), _) => Err(failure),
        (None, Some(properties)) => Ok(properties),
        (None, None) => Err(SessionError::Handshake {
            message: "HandshakeRequest",
            reason: "it names no session type".to_owned(),
        }),
    };
    let response = HandshakeResponse {
        client_version: client_version.to_owned(),
        processed_client_actions: processed,
        errors: None,
    };
    (response, outcome)
}
