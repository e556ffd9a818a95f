//! The message that opens a data channel, and its token.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The data channel's token (`TokenValue`): a secret, wiped when dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Takes the token as the service returned it.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The secret itself, for the one message that carries it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// An empty token means that the session is gone.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(** redacted **)")
    }
}

/// The first message on every websocket, sent as text: authenticates the client to the data channel.
///
/// Source: `aws/session-manager-plugin` `src/service/model.go` @61cf1288.
#[derive(Debug, Clone)]
pub struct OpenDataChannel<'a> {
    /// A new UUID for each request.
    pub request_id: Uuid,
    /// The token of StartSession or of the latest ResumeSession.
    pub token: &'a Token,
    /// One UUID for the session's whole life.
    pub client_id: Uuid,
    /// The version we announce.
    pub client_version: &'a str,
}

impl OpenDataChannel<'_> {
    /// The JSON text. It holds the token, so it is wiped when dropped.
    pub fn to_json(&self) -> Zeroizing<String> {
        let body = Body {
            message_schema_version: "1.0",
            request_id: self.request_id.hyphenated().to_string(),
            token_value: self.token.expose(),
            client_id: self.client_id.hyphenated().to_string(),
            client_version: self.client_version,
        };
        // Enough capacity for the whole text, even escaped: a buffer that moves while it grows would
        // leave copies of the token behind.
        let room = 256 + 6 * (self.token.expose().len() + self.client_version.len());
        let mut json = Vec::with_capacity(room);
        // A struct of strings always serialises, to UTF-8.
        let _ = serde_json::to_writer(&mut json, &body);
        Zeroizing::new(String::from_utf8(json).unwrap_or_default())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    message_schema_version: &'a str,
    request_id: String,
    token_value: &'a str,
    client_id: String,
    client_version: &'a str,
}
