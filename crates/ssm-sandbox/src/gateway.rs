//! The message gateway: connects the websockets of clients to the agents of their sessions.

mod connections;
mod messages;
mod session;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};

use crate::accept::accept;
use crate::account::session_control::{Command, NewSession, SessionControl};
use crate::sigv4;
use crate::state::State;
use crate::state::requests::{RecordedParameters, RequestOutcome};

/// How long a client may take for its upgrade and its first message.
const OPENING_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections that are being opened at once; more wait to be accepted.
const MOST_OPENING: usize = 256;
/// Maximum size of a client's message. Real clients send at most 1024 bytes of payload.
const MAX_MESSAGE: usize = 1 << 20;
const PATH: &str = "/v1/data-channel/";

/// Starts a session's agent, and its end of the gateway.
pub(crate) fn launch(state: Arc<State>, session: NewSession) {
    tokio::spawn(session::run(state, session));
}

pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) {
    let opening = |tcp| {
        let state = state.clone();
        async move {
            match tokio::time::timeout(OPENING_TIMEOUT, open(&state, tcp)).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => tracing::debug!(reason, "data channel not opened"),
                Err(_) => tracing::debug!("data channel not opened in time"),
            }
        }
    };
    accept(listener, MOST_OPENING, opening).await;
}

/// Checks signature and token, and hands the websocket to its session.
async fn open(state: &Arc<State>, tcp: TcpStream) -> Result<(), &'static str> {
    let mut session_id = None;
    #[expect(
        clippy::result_large_err,
        reason = "the callback's type is the library's"
    )]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        session_id = Some(authorize(state, request)?);
        Ok(response)
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(64 << 10)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .write_buffer_size(64 << 10);
    let mut websocket = tokio_tungstenite::accept_hdr_async_with_config(tcp, check, Some(config))
        .await
        .map_err(|_| "the upgrade failed")?;
    let session_id = session_id.ok_or("the upgrade named no session")?;
    let first = websocket.next().await;
    let token = match &first {
        Some(Ok(Message::Text(text))) => read_token(text.as_str()),
        _ => None,
    };
    let asked = RecordedParameters::of([("SessionId", session_id.as_str())]);
    match token.and_then(|token| take_session(state, &session_id, &token)) {
        Some(control) => {
            state.record("OpenDataChannel", None, asked, RequestOutcome::Answered);
            control.send(Command::Attach(Box::new(websocket)));
            Ok(())
        }
        None => {
            let outcome = RequestOutcome::Error("1003".to_owned());
            state.record("OpenDataChannel", None, asked, outcome);
            let frame = CloseFrame {
                code: CloseCode::Unsupported,
                reason: "Invalid or missing token".into(),
            };
            let _ = websocket.close(Some(frame)).await;
            Err("the token is bad")
        }
    }
}

fn read_token(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct OpenDataChannel {
        message_schema_version: String,
        token_value: String,
        client_id: String,
        request_id: String,
    }
    let open: OpenDataChannel = serde_json::from_str(text).ok()?;
    let complete = open.message_schema_version == "1.0"
        && uuid::Uuid::parse_str(&open.client_id).is_ok()
        && uuid::Uuid::parse_str(&open.request_id).is_ok();
    complete.then_some(open.token_value)
}

/// Spends the token: it opens one data channel.
fn take_session(state: &State, id: &str, token: &str) -> Option<SessionControl> {
    let mut account = state.account();
    let session = account
        .sessions
        .get_mut(id)
        .filter(|session| !session.is_over())?;
    if session.token.as_deref() != Some(token) {
        return None;
    }
    session.token = None;
    Some(session.control.clone())
}

/// Checks the path and the signature of an upgrade: the session's id, or the response that refuses it.
#[expect(
    clippy::result_large_err,
    reason = "the callback's type is the library's"
)]
fn authorize(state: &State, request: &Request) -> Result<String, ErrorResponse> {
    let uri = request.uri();
    let refuse = |status: StatusCode, text: &str| {
        let mut response = ErrorResponse::new(Some(text.to_owned()));
        *response.status_mut() = status;
        response
    };
    let session_id = uri
        .path()
        .strip_prefix(PATH)
        .filter(|id| !id.is_empty() && !id.contains('/'))
        .ok_or_else(|| refuse(StatusCode::NOT_FOUND, "Not Found"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers() {
        headers.append(name, value.clone());
    }
    let signed = sigv4::Request {
        method: "GET",
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        headers: &headers,
        body: b"",
        service: "ssmmessages",
    };
    let mut key = None;
    let caller = state.authenticate(&signed, &mut key).map_err(|_| {
        state.record(
            "OpenDataChannel",
            key.clone(),
            RecordedParameters::of([("SessionId", session_id)]),
            RequestOutcome::Error("403".to_owned()),
        );
        refuse(StatusCode::FORBIDDEN, "Forbidden")
    })?;
    let cell = sigv4::pairs(uri.query().unwrap_or_default())
        .into_iter()
        .find(|(name, _)| name == "cell-number")
        .map(|(_, cell)| cell);
    let owned = state
        .account()
        .sessions
        .get(session_id)
        .is_some_and(|session| session.owner == caller.arn && session.cell == cell);
    if !owned {
        return Err(refuse(StatusCode::FORBIDDEN, "Forbidden"));
    }
    Ok(session_id.to_owned())
}
