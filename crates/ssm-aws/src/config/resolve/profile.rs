//! One profile, read key by key.

use crate::config::error::ConfigError;
use crate::config::keys::Keys;
use crate::config::shared_config::{self, Profile, Value};
use crate::config::value;

/// A profile under its name.
#[derive(Clone, Copy)]
pub(crate) struct ProfileView<'a> {
    pub(crate) name: &'a str,
    profile: &'a Profile,
}

impl<'a> ProfileView<'a> {
    pub(crate) fn new(name: &'a str, profile: &'a Profile) -> Self {
        Self { name, profile }
    }

    /// Whether the key has a value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.profile.get(key).is_some()
    }

    /// A value that is not secret; an empty one counts as unset.
    ///
    /// # Errors
    /// When the key has nested lines instead of a value, or the value is not one line.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<String>, ConfigError> {
        match self.profile.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => value::line(&self.place(key), text).map(Some),
            Some(Value::Nested(_)) => {
                let problem = "a value is expected on its line, not `key = value` lines below it";
                Err(self.wrong(Some(key), None, problem))
            }
        }
    }

    /// The key and its profile, for errors.
    pub(crate) fn place(&self, key: &str) -> String {
        format!(
            "{key} of profile {}",
            crate::printable::printable(self.name)
        )
    }

    /// Static keys of the credentials file.
    pub(crate) fn keys_of_credentials(&self) -> Result<Option<Keys>, ConfigError> {
        self.keys(&self.profile.credentials)
    }

    /// Static keys of the config file.
    pub(crate) fn keys_of_config(&self) -> Result<Option<Keys>, ConfigError> {
        self.keys(&self.profile.config)
    }

    /// Both parts come from the same file, as in botocore.
    fn keys(&self, file: &shared_config::Keys) -> Result<Option<Keys>, ConfigError> {
        let text = |key: &str| match file.get(key) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        };
        let Some(id) = text("aws_access_key_id") else {
            return Ok(None);
        };
        let Some(secret) = text("aws_secret_access_key") else {
            let problem = "it is missing beside aws_access_key_id";
            return Err(self.wrong(Some("aws_secret_access_key"), None, problem));
        };
        let token = ["aws_security_token", "aws_session_token"]
            .into_iter()
            .find_map(|key| Some((key, text(key)?)));
        let token_place = token.map(|(key, _)| self.place(key));
        let token = token_place.as_deref().zip(token.map(|(_, token)| token));
        Keys::new(
            (&self.place("aws_access_key_id"), id),
            (&self.place("aws_secret_access_key"), secret),
            token,
        )
        .map(Some)
    }

    /// Only for values that are not secret.
    pub(crate) fn wrong(
        &self,
        key: Option<&'static str>,
        value: Option<&str>,
        problem: impl Into<String>,
    ) -> ConfigError {
        ConfigError::Profile {
            profile: self.name.to_owned(),
            key,
            value: value.map(str::to_owned),
            problem: problem.into(),
        }
    }
}
