//! The record of requests.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

/// A request to the sandbox's API. Secrets are not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The API action, such as `StartSession`.
    pub action: String,
    /// When, by the sandbox's clock.
    pub at: SystemTime,
    /// The access key id it was signed with, if it named one.
    pub access_key_id: Option<String>,
    /// Those of its parameters that tell requests apart: `SerialNumber`, `DurationSeconds`,
    /// `RoleArn`, `RoleSessionName`, `ExternalId`, `UserName`, `Target`, `DocumentName`,
    /// `SessionId`, `InstanceId`.
    pub parameters: BTreeMap<String, String>,
    /// The MFA code it carried, as a number: the sandbox counts the different codes from 1, so the
    /// same number twice is the same code sent twice.
    pub code: Option<usize>,
    /// Its outcome.
    pub outcome: RequestOutcome,
}

impl RecordedRequest {
    /// One of [`parameters`](Self::parameters).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestOutcome {
    /// It succeeded.
    Answered,
    /// It was refused with this error code.
    Error(String),
    /// It was handled, and the response dropped as a fault demanded.
    Dropped,
}

/// Maximum characters of a recorded text.
const LONGEST: usize = 512;

/// A client's text, cut to the length that is recorded.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The parameters of a request that are recorded, and its code, which is only counted.
#[derive(Debug, Default)]
pub(crate) struct RecordedParameters {
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) code: Option<Code>,
}

/// A device's code.
#[derive(PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) serial: String,
    pub(crate) digits: String,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(..)")
    }
}

impl RecordedParameters {
    /// Selects from all parameters of a request.
    pub(crate) fn of<'a>(all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        const RECORDED: [&str; 10] = [
            "InstanceId",
            "SerialNumber",
            "DurationSeconds",
            "RoleArn",
            "RoleSessionName",
            "ExternalId",
            "UserName",
            "Target",
            "DocumentName",
            "SessionId",
        ];
        let mut asked = Self::default();
        let mut digits = None;
        for (name, value) in all {
            if name == "TokenCode" {
                digits = Some(shortened(value));
            } else if RECORDED.contains(&name) {
                asked.parameters.insert(name.to_owned(), shortened(value));
            }
        }
        let serial = asked.parameters.get("SerialNumber").cloned();
        asked.code = digits.map(|digits| Code {
            serial: serial.unwrap_or_default(),
            digits,
        });
        asked
    }
}
