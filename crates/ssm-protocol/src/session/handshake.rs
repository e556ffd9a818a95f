//! The handshake, on both sides.

use std::time::Instant;

use super::{Session, Side};
use crate::error::SessionError;
use crate::event::{Ready, SessionEvent};
use crate::payload::{
    ActionStatus, HandshakeComplete, HandshakeRequest, HandshakeResponse, ProcessedAction,
    RequestedAction, SessionProperties,
};
use crate::version::{Capabilities, settling_time};
use crate::wire::PayloadType;

/// The state of the handshake.
#[derive(Debug)]
pub(super) enum Handshake {
    /// Client: no HandshakeRequest yet.
    AwaitingRequest,
    /// Client: the response was sent.
    AwaitingComplete {
        agent_version: String,
        properties: SessionProperties,
    },
    /// Client: complete, but the agent may still discard data. `ready` until it is announced.
    Settling {
        until: Instant,
        ready: Option<Ready>,
    },
    /// Agent: the request was sent.
    AwaitingResponse { request: HandshakeRequest },
    /// Both: data may flow.
    Complete,
}

impl Session {
    pub(super) fn handle_handshake_request(
        &mut self,
        body: &[u8],
        now: Instant,
    ) -> Result<(), SessionError> {
        if !matches!(self.handshake, Handshake::AwaitingRequest) {
            tracing::debug!("ignored handshake request out of turn");
            return Ok(());
        }
        let request: HandshakeRequest = read("HandshakeRequest", body)?;
        let (response, outcome) = answer(&request, &self.config.client_version);
        self.push(PayloadType::HandshakeResponse, &json(&response), now);
        self.handshake = Handshake::AwaitingComplete {
            agent_version: request.agent_version,
            properties: outcome?,
        };
        Ok(())
    }

    pub(super) fn handle_handshake_response(
        &mut self,
        body: &[u8],
        now: Instant,
    ) -> Result<(), SessionError> {
        let Handshake::AwaitingResponse { request } = &self.handshake else {
            tracing::debug!("ignored handshake response out of turn");
            return Ok(());
        };
        let response: HandshakeResponse = read("HandshakeResponse", body)?;
        let refused = response
            .processed_client_actions
            .iter()
            .find(|action| action.action_status != ActionStatus::Success);
        if let Some(action) = refused {
            return Err(SessionError::Refused {
                action: action.action_type.clone(),
                reason: action.error.clone(),
            });
        }
        let properties = request
            .requested_client_actions
            .iter()
            .find_map(|action| action.session_type())
            .map(|(_, properties)| properties)
            .unwrap_or_default();
        let ready = Ready {
            capabilities: Capabilities::of(&request.agent_version, &properties),
            peer_version: response.client_version,
            properties,
            customer_message: String::new(),
        };
        let took = now.saturating_duration_since(self.started);
        let complete = HandshakeComplete {
            handshake_time_to_complete: i64::try_from(took.as_nanos()).unwrap_or(i64::MAX),
            customer_message: String::new(),
        };
        self.push(PayloadType::HandshakeComplete, &json(&complete), now);
        self.announce(ready);
        self.handshake = Handshake::Complete;
        Ok(())
    }

    pub(super) fn handle_handshake_complete(
        &mut self,
        body: &[u8],
        now: Instant,
    ) -> Result<(), SessionError> {
        let Handshake::AwaitingComplete {
            agent_version,
            properties,
        } = &mut self.handshake
        else {
            tracing::debug!("ignored handshake completion out of turn");
            return Ok(());
        };
        let complete: HandshakeComplete = read("HandshakeComplete", body)?;
        let until = now.checked_add(settling_time(agent_version)).unwrap_or(now);
        let ready = Ready {
            capabilities: Capabilities::of(agent_version, properties),
            peer_version: std::mem::take(agent_version),
            properties: std::mem::take(properties),
            customer_message: complete.customer_message,
        };
        self.handshake = Handshake::Settling {
            until,
            ready: Some(ready),
        };
        Ok(())
    }

    /// Stream data arrived before the handshake was complete. Port sessions always have a handshake; a
    /// session type without one would become ready here.
    pub(super) fn handle_early_data(&mut self) -> Result<(), SessionError> {
        match self.side {
            Side::Client => Err(SessionError::DataBeforeHandshake),
            // Acknowledged, then thrown away: `aws/amazon-ssm-agent`
            // `agent/session/datachannel/datachannel.go` @01dfe74e.
            Side::Agent => {
                tracing::debug!("ignored data before the handshake was complete");
                Ok(())
            }
        }
    }

    pub(super) fn settle(&mut self) {
        let Handshake::Settling { ready, .. } = &mut self.handshake else {
            return;
        };
        let ready = ready.take();
        self.handshake = Handshake::Complete;
        if let Some(ready) = ready {
            self.announce(ready);
        }
    }

    pub(super) fn announce(&mut self, ready: Ready) {
        self.outbox.handshake_complete();
        if self.side == Side::Client && !ready.capabilities.acknowledges_duplicates {
            self.outbox.peer_acknowledges_once();
        }
        self.events.push_back(SessionEvent::Ready(ready));
    }
}

/// The client's response to a request, and the session properties or the error that follows. This is
/// where session types and actions are accepted or refused.
fn answer(
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

fn read<T: serde::de::DeserializeOwned>(
    message: &'static str,
    body: &[u8],
) -> Result<T, SessionError> {
    serde_json::from_slice(body).map_err(|error| SessionError::Handshake {
        message,
        reason: error.to_string(),
    })
}

/// The handshake's bodies are plain data, which always serialises.
pub(super) fn json(body: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
