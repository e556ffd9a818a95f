//! The handshake, on both sides.

use std::time::Instant;

use super::handshake::{self, Handshake};
use super::{Event, Session, Side};
use crate::error::SessionError;
use crate::event::Ready;
use crate::payload::{ActionStatus, HandshakeComplete, HandshakeRequest, HandshakeResponse};
use crate::version::{Capabilities, settling_time};
use crate::wire::PayloadType;

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
        let (response, outcome) = handshake::answer(&request, &self.config.client_version);
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
        self.events.push_back(Event::Ready(ready));
    }
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
