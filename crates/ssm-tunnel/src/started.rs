//! A session that somebody else started.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use ssm_relay::{ApiError, BoxFuture, SessionApi, Ticket, Token};
use zeroize::Zeroizing;

use crate::aws::SystemsManager;
use crate::error::Error;

/// The answer of a StartSession call that was made elsewhere, for [`Tunnel::attach`]; the AWS CLI
/// hands it to session-manager-plugin. `Debug` does not show the token.
///
/// The token is good for opening the data channel once.
///
/// [`Tunnel::attach`]: crate::Tunnel::attach
#[derive(Debug, Clone)]
pub struct StartedSession {
    session_id: String,
    stream_url: String,
    token: Token,
}

impl StartedSession {
    /// From `SessionId`, `StreamUrl` and `TokenValue`.
    pub fn new(
        session_id: impl Into<String>,
        stream_url: impl Into<String>,
        token: impl Into<String>,
    ) -> Self {
        Self {
            session_id: session_id.into(),
            stream_url: stream_url.into(),
            token: Token::new(token),
        }
    }

    /// From the answer itself, an object with these three; others are ignored.
    ///
    /// # Errors
    /// [`Error::Settings`] when it is not that. The error shows nothing of it.
    pub fn from_json(answer: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            session_id: String,
            stream_url: String,
            token_value: Zeroizing<String>,
        }
        let answer: Answer = serde_json::from_str(answer).map_err(|error| {
            Error::Settings(format!(
                "the session is not StartSession's answer, an object with SessionId, StreamUrl \
                 and TokenValue (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        Ok(Self::new(
            answer.session_id,
            answer.stream_url,
            answer.token_value.as_str(),
        ))
    }

    /// The session's id.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }
}

/// Hands the session out once; the other calls are the service's own.
pub(crate) struct Attached {
    started: Mutex<Option<StartedSession>>,
    service: SystemsManager,
}

impl Attached {
    pub(crate) fn new(started: StartedSession, service: SystemsManager) -> Self {
        Self {
            started: Mutex::new(Some(started)),
            service,
        }
    }
}

impl SessionApi for Attached {
    fn start(&self) -> BoxFuture<'_, Result<Ticket, ApiError>> {
        let started = self
            .started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Box::pin(async move {
            let started = started.ok_or_else(|| {
                ApiError::fatal("the session was started elsewhere, and no other can be")
            })?;
            Ok(Ticket {
                session_id: started.session_id,
                stream_url: started.stream_url,
                token: started.token,
            })
        })
    }

    fn resume<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Ticket>, ApiError>> {
        self.service.resume(session_id)
    }

    fn terminate<'a>(&'a self, session_id: &'a str) -> BoxFuture<'a, Result<(), ApiError>> {
        self.service.terminate(session_id)
    }

    fn terminate_late<'a>(&'a self, session_id: &'a str) -> BoxFuture<'a, Result<(), ApiError>> {
        self.service.terminate_late(session_id)
    }

    fn starts_more(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cli_s_answer_is_read_and_its_token_is_not_shown() {
        let started = StartedSession::from_json(
            r#"{"SessionId": "s-1", "TokenValue": "MARKER", "StreamUrl": "wss://h/p", "X": 1}"#,
        )
        .expect("complete");
        assert_eq!(started.session_id(), "s-1");
        assert_eq!(started.token.expose(), "MARKER");
        assert!(!format!("{started:?}").contains("MARKER"));
    }

    #[test]
    fn what_is_not_an_answer_is_refused_without_being_shown() {
        for text in [
            "",
            "MARKER",
            r#"{"SessionId": "s-1", "StreamUrl": "wss://h/p"}"#,
            r#"{"SessionId": "s-1", "StreamUrl": "wss://h/p", "TokenValue": ["MARKER"]}"#,
        ] {
            let error = StartedSession::from_json(text).expect_err("refused");
            assert!(!format!("{error} {error:?}").contains("MARKER"), "{error}");
            assert!(error.to_string().contains("TokenValue"), "{error}");
        }
    }
}
