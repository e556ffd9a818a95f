//! An access key with its secret.

use std::fmt;

use aws_credential_types::Credentials;
use zeroize::Zeroizing;

use crate::config::error::ConfigError;
use crate::config::value;

/// An access key, its secret, and its session token if it has one. Its `Debug` shows the
/// access key's id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Option<Zeroizing<String>>,
}

impl Keys {
    /// Each value with the name of its variable or key, for errors. An empty token counts as absent.
    ///
    /// # Errors
    /// When one holds a character that AWS's keys never have.
    pub(crate) fn new(
        id: (&str, &str),
        secret: (&str, &str),
        token: Option<(&str, &str)>,
    ) -> Result<Self, ConfigError> {
        let token = match token {
            Some((name, token)) => {
                Some(value::secret(name, token)?).filter(|token| !token.is_empty())
            }
            None => None,
        };
        Ok(Self {
            access_key_id: value::secret(id.0, id.1)?,
            secret_access_key: value::secret(secret.0, secret.1)?.into(),
            session_token: token.map(Into::into),
        })
    }

    /// The access key's id.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret.
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// The session's token, unless these are long-term keys.
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(|token| token.as_str())
    }

    pub(crate) fn credentials(&self, provider: &'static str) -> Credentials {
        Credentials::new(
            &self.access_key_id,
            self.secret_access_key.as_str(),
            self.session_token().map(str::to_owned),
            None,
            provider,
        )
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}
