//! A session that was started elsewhere.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use ssm_relay::{ApiError, BoxFuture, SessionApi, SessionConnection, Token};
use zeroize::Zeroizing;

use crate::aws::SystemsManager;
use crate::error::{Error, ServiceError};

/// The answer to a StartSession call that was made elsewhere, for [`Tunnel::attach`]; the AWS CLI
/// passes it to session-manager-plugin. `Debug` does not show the token.
///
/// The token opens the data channel once.
///
/// [`Tunnel::attach`]: crate::Tunnel::attach
#[derive(Debug, Clone)]
pub struct StartedSession {
    session_id: String,
    stream_url: String,
    token: Token,
}

impl StartedSession {
    /// A session with this `SessionId`, `StreamUrl` and `TokenValue`.
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

    /// Reads the answer itself: a JSON object with these three members; others are ignored. The case
    /// of the names does not matter: ECS's ExecuteCommand answers with `sessionId`, `streamUrl`
    /// and `tokenValue`.
    ///
    /// # Errors
    /// [`Error::Settings`] with the member that is missing or invalid. The error repeats no value.
    pub fn from_json(answer: &str) -> Result<Self, Error> {
        let answer: Answer = serde_json::from_str(answer).map_err(|error| {
            Error::Settings(format!(
                "the session is not StartSession's answer, a JSON object with SessionId, \
                 StreamUrl and TokenValue (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        Ok(Self::new(
            present("SessionId", answer.session_id)?.as_str(),
            present("StreamUrl", answer.stream_url)?.as_str(),
            present("TokenValue", answer.token_value)?.as_str(),
        ))
    }

    /// The session's id.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// Whether the stream URL contains its signature: the data channel's first request then takes no
    /// credentials.
    pub fn is_presigned(&self) -> bool {
        ssm_relay::is_presigned_url(&self.stream_url)
    }
}

/// The members of the answer, as far as it has them.
#[derive(Default)]
struct Answer {
    session_id: Option<Zeroizing<String>>,
    stream_url: Option<Zeroizing<String>>,
    token_value: Option<Zeroizing<String>>,
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
        let mut answer = Answer::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let member = match name.to_ascii_lowercase().as_str() {
                "sessionid" => &mut answer.session_id,
                "streamurl" => &mut answer.stream_url,
                "tokenvalue" => &mut answer.token_value,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *member = map.next_value()?;
        }
        Ok(answer)
    }
}

fn present(name: &str, value: Option<Zeroizing<String>>) -> Result<Zeroizing<String>, Error> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        Error::Settings(format!(
            "the session is not StartSession's answer: it has no {name}, or an empty one"
        ))
    })
}

/// Hands the session out once; the other calls go to the service.
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
    type Error = Arc<ServiceError>;

    fn start(&self) -> BoxFuture<'_, Result<SessionConnection, ApiError<Self::Error>>> {
        let started = self
            .started
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Box::pin(async move {
            let started = started.ok_or_else(|| ApiError::fatal(ServiceError::StartedElsewhere))?;
            Ok(SessionConnection {
                session_id: started.session_id,
                stream_url: started.stream_url,
                token: started.token,
            })
        })
    }

    fn resume<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionConnection>, ApiError<Self::Error>>> {
        self.service.resume(session_id)
    }

    fn terminate<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError<Self::Error>>> {
        self.service.terminate(session_id)
    }

    fn terminate_late<'a>(
        &'a self,
        session_id: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiError<Self::Error>>> {
        self.service.terminate_late(session_id)
    }

    fn can_start_more(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clis_answer_is_read_and_its_token_not_shown() {
        let started = StartedSession::from_json(
            r#"{"SessionId": "s-1", "TokenValue": "MARKER", "StreamUrl": "wss://h/p", "X": 1}"#,
        )
        .expect("complete");
        assert_eq!(started.session_id(), "s-1");
        assert_eq!(started.token.expose(), "MARKER");
        assert!(!format!("{started:?}").contains("MARKER"));
    }

    #[test]
    fn member_names_are_read_in_any_case() {
        for text in [
            r#"{"sessionId": "s-1", "streamUrl": "wss://h/p", "tokenValue": "MARKER"}"#,
            r#"{"SESSIONID": "s-1", "StreamURL": "wss://h/p", "token\u0056alue": "MARKER"}"#,
            r#"{"a": {"SessionId": [1]}, "sessionId": "s-1", "streamUrl": "wss://h/p", "tokenValue": "MARKER"}"#,
        ] {
            let started = StartedSession::from_json(text).expect(text);
            assert_eq!(started.session_id(), "s-1");
            assert_eq!(started.stream_url, "wss://h/p");
            assert_eq!(started.token.expose(), "MARKER");
        }
    }

    #[test]
    fn an_invalid_answer_is_refused_without_being_shown() {
        let deep = format!("{}MARKER", "[".repeat(100_000));
        for (text, named) in [
            ("", "TokenValue"),
            ("MARKER", "TokenValue"),
            ("null", "TokenValue"),
            ("[\"MARKER\"]", "TokenValue"),
            (deep.as_str(), "TokenValue"),
            (r#"{"SessionId": "s-1", "StreamUrl": "MARK"#, "TokenValue"),
            (
                r#"{"SessionId": "s-1", "StreamUrl": "MARKER"}"#,
                "TokenValue",
            ),
            (
                r#"{"SessionId": "s-1", "StreamUrl": "wss://h/p", "TokenValue": ["MARKER"]}"#,
                "TokenValue",
            ),
            (
                r#"{"SessionId": 7, "StreamUrl": "wss://h/p", "TokenValue": "MARKER"}"#,
                "SessionId",
            ),
            (
                r#"{"SessionId": "s-1", "StreamUrl": null, "TokenValue": "MARKER"}"#,
                "no StreamUrl",
            ),
            (
                r#"{"SessionId": "", "StreamUrl": "wss://h/p", "TokenValue": "MARKER"}"#,
                "no SessionId",
            ),
        ] {
            let error = StartedSession::from_json(text).expect_err("refused");
            assert!(!format!("{error} {error:?}").contains("MARK"), "{error}");
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}
