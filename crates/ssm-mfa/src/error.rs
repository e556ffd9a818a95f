use std::time::Duration;

use thiserror::Error;

use crate::serial::{InvalidSerial, MfaSerial};
use crate::source::CodeError;

/// Why there is no MFA session, and what to do next. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MfaError {
    /// The serial number cannot be used.
    #[error(transparent)]
    Serial(#[from] InvalidSerial),
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
    /// AWS did not accept the code.
    #[error("AWS did not accept the code of {serial}: mistyped, expired, or already used; wait for the next code{}{}", skewed(.skew), id(.request_id))]
    InvalidCode {
        /// The device.
        serial: MfaSerial,
        /// How far this machine's clock is from AWS's, where that is a lot.
        skew: Option<Duration>,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The code was used before; it was not sent.
    #[error(
        "this code of {serial} was used before: AWS accepts each code once; wait for the next (up to 30 s)"
    )]
    CodeReused {
        /// The device.
        serial: MfaSerial,
    },
    /// The device does not belong to the keys' user.
    #[error("{serial} is not an MFA device of the user that the access key {access_key_id} belongs to{}; the device must be that user's own: IAM console, Users, Security credentials", id(.request_id))]
    WrongDevice {
        /// The device.
        serial: MfaSerial,
        /// The key, shortened.
        access_key_id: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The keys are those of a session already.
    #[error(
        "the credentials are those of a session already, and GetSessionToken takes the long-term keys of an IAM user: unset AWS_SESSION_TOKEN, or choose the profile that has the keys"
    )]
    BaseIsTemporary,
    /// The session may not last that long.
    #[error("the session cannot last {asked:?}: {message}")]
    DurationTooLong {
        /// The duration asked for.
        asked: Duration,
        /// What AWS said.
        message: String,
    },
    /// AWS does not know the key, or its secret is wrong.
    #[error("AWS does not accept the access key {access_key_id}: {message}{}; check the profile and its keys", id(.request_id))]
    BadAccessKey {
        /// The key, shortened.
        access_key_id: String,
        /// What AWS said.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// This machine's clock is wrong.
    #[error("this machine's clock is wrong: {message}; set it, then try again")]
    ClockSkew {
        /// What AWS said.
        message: String,
    },
    /// STS is off in the region.
    #[error(
        "STS is not active in this region: {message}; activate it in the account settings, or use another region"
    )]
    RegionDisabled {
        /// What AWS said.
        message: String,
    },
    /// Any other denial.
    #[error("STS denied the session: {message}{}", id(.request_id))]
    Denied {
        /// What AWS said.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// Too many calls.
    #[error("STS is throttling{}: wait for the next code and try again", id(.request_id))]
    Throttled {
        /// For AWS support.
        request_id: Option<String>,
    },
    /// STS cannot be reached, or did not answer properly.
    #[error("no answer from STS: {reason}{}", spent(*.code_may_be_spent))]
    Network {
        /// What went wrong.
        reason: String,
        /// The request may have arrived, and with it the code.
        code_may_be_spent: bool,
    },
    /// Any other answer.
    #[error("STS answered {code}: {message}{}", id(.request_id))]
    Service {
        /// The error code.
        code: String,
        /// What AWS said.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// There are no long-term credentials.
    #[error("no AWS credentials to start an MFA session with: {0}")]
    NoBase(String),
    /// There is nobody to ask for the code.
    #[error(
        "there is no terminal to ask for the MFA code of {serial} on: give the code (--mfa-code), or log in from a terminal first"
    )]
    NoTerminal {
        /// The device.
        serial: MfaSerial,
    },
    /// Nobody answered.
    #[error("nobody entered the MFA code of {serial} within {after:?}")]
    PromptTimeout {
        /// The device.
        serial: MfaSerial,
        /// The limit that passed.
        after: Duration,
    },
    /// The person does not want to.
    #[error("the MFA prompt was cancelled")]
    Cancelled,
    /// The source of codes has none.
    #[error(transparent)]
    Code(CodeError),
    /// The task that logs in ended with its runtime.
    #[error("the login was interrupted: its runtime ended")]
    Interrupted,
}

impl MfaError {
    /// Whether the same may succeed later without anything being changed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Network { .. })
    }

    /// Whether a person with the device can help.
    pub fn needs_user(&self) -> bool {
        matches!(
            self,
            Self::InvalidCode { .. }
                | Self::CodeReused { .. }
                | Self::NoTerminal { .. }
                | Self::PromptTimeout { .. }
                | Self::Cancelled
                | Self::Code(_)
        )
    }
}

fn id(request_id: &Option<String>) -> String {
    request_id
        .as_ref()
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}

fn skewed(skew: &Option<Duration>) -> String {
    skew.map(|skew| {
        format!(
            "; this machine's clock is {} s off AWS's, which alone can make every code wrong",
            skew.as_secs()
        )
    })
    .unwrap_or_default()
}

fn spent(maybe: bool) -> &'static str {
    if maybe {
        "; the code may be used up: wait for the next one"
    } else {
        "; the code was not sent"
    }
}
