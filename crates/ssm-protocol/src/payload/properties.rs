//! Properties of a session document.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The properties of the session document as the handshake carries them, such as `portNumber`.
///
/// A value is a string, a number or a one-element list of strings, depending on the age of the document;
/// each reads as a string. Values of other types are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct SessionProperties(BTreeMap<String, String>);

impl SessionProperties {
    /// The value of one property.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether the document asks for `LocalPortForwarding`, which multiplexing needs.
    pub fn is_local_port_forwarding(&self) -> bool {
        self.value("type") == Some("LocalPortForwarding")
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for SessionProperties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(values: I) -> Self {
        Self(
            values
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl<'de> Deserialize<'de> for SessionProperties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Value::Object(values) = Value::deserialize(deserializer)? else {
            return Ok(Self::default());
        };
        Ok(Self(
            values
                .into_iter()
                .filter_map(|(name, value)| Some((name, text(value)?)))
                .collect(),
        ))
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) => match <[Value; 1]>::try_from(list) {
            Ok([Value::String(text)]) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
