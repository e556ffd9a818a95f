//! Why there are no credentials.

use std::fmt;
use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::cache::store::StoreError;
use crate::code::source::CodeError;
use crate::serial::{InvalidSerial, MfaSerial};
use crate::time::rfc3339;

/// Why there are no credentials, and what to do next. It contains no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MfaError {
    /// The serial number is invalid.
    #[error(transparent)]
    Serial(#[from] InvalidSerial),
    /// A setting is missing or invalid.
    #[error("{0}")]
    Settings(String),
    /// No region is configured.
    #[error("no AWS region: give one, or set AWS_REGION or `region` in the profile")]
    NoRegion,
    /// A profile of the AWS configuration cannot be used.
    #[error("profile {profile}: {}{problem}", setting(.key, .value))]
    Profile {
        /// Name of the profile.
        profile: String,
        /// The key that is wrong.
        key: Option<&'static str>,
        /// The key's value.
        value: Option<String>,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The AWS configuration cannot be read.
    #[error("the AWS configuration cannot be read: {0}")]
    Configuration(String),
    /// AWS did not accept the code.
    #[error("AWS did not accept the code: mistyped, expired, or already used; wait for the next code{}{context}", skewed(.skew))]
    InvalidCode {
        /// How many codes were tried.
        attempts: u32,
        /// Offset of this machine's clock from AWS's, if it is more than 30 s.
        skew: Option<Duration>,
        /// The call.
        context: Box<CallContext>,
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
    #[error("{} is not an MFA device of {}: mfa_serial must belong to the IAM user whose keys are used; `aws iam list-mfa-devices`, or Security credentials in the IAM console, lists the devices of that user{context}", device(.context), owner(.caller, .access_key_id))]
    WrongDevice {
        /// ARN of the user that the keys belong to, if STS reported it.
        caller: Option<String>,
        /// Last characters of the access key id.
        access_key_id: String,
        /// The call.
        context: Box<CallContext>,
    },
    /// Discovery found no device of the user (feature `discover`).
    #[error("the MFA device cannot be found: {0}; name it (mfa_serial)")]
    Devices(String),
    /// The role demands MFA, but no device is configured.
    #[error("STS denied {role}: {message}; the role may demand MFA: add `mfa_serial = arn:aws:iam::ACCOUNT:mfa/DEVICE` to {}{context}", section(.context))]
    MfaRequired {
        /// The role.
        role: String,
        /// What AWS said.
        message: String,
        /// The call.
        context: Box<CallContext>,
    },
    /// The source credentials are temporary, but an MFA session takes long-term keys.
    #[error(
        "the credentials belong to a session already, but an MFA session takes the long-term keys of an IAM user: AWS_SESSION_TOKEN is set, or the profile holds a session; unset it, choose the profile that has the keys, or use a role{context}"
    )]
    SourceIsTemporary {
        /// The call.
        context: Box<CallContext>,
    },
    /// The session may not last that long.
    #[error("the session cannot last {}: {message}; {}{context}", seconds(.asked), shorter(.max))]
    DurationTooLong {
        /// The duration asked for.
        asked: Duration,
        /// The maximum, if known.
        max: Option<Duration>,
        /// What AWS said.
        message: String,
        /// The call.
        context: Box<CallContext>,
    },
    /// AWS does not know the key, or its secret is wrong.
    #[error("AWS does not accept the access key {access_key_id}: {message}; check the keys of {}{context}", section(.context))]
    BadAccessKey {
        /// Last characters of the access key id.
        access_key_id: String,
        /// What AWS said.
        message: String,
        /// The call.
        context: Box<CallContext>,
    },
    /// This machine's clock is wrong.
    #[error("this machine's clock is wrong: here it is {}, at AWS {}; set the clock, then try again ({message}){context}", rfc3339(*.local), at(.server))]
    ClockSkew {
        /// The time here.
        local: SystemTime,
        /// The time at AWS, if known.
        server: Option<SystemTime>,
        /// What AWS said.
        message: String,
        /// The call.
        context: Box<CallContext>,
    },
    /// STS is not active in the region.
    #[error(
        "STS is not active in this region: {message}; activate it in the account settings, or use another region{context}"
    )]
    RegionDisabled {
        /// What AWS said.
        message: String,
        /// The call.
        context: Box<CallContext>,
    },
    /// Any other denial.
    #[error(
        "STS denied the request: {message}; check the role's trust policy and the user's own policies{context}"
    )]
    Denied {
        /// What AWS said.
        message: String,
        /// The call.
        context: Box<CallContext>,
    },
    /// Too many calls.
    #[error("STS is throttling requests: try again later{}{context}", fate(.code))]
    Throttled {
        /// What became of the code.
        code: CodeFate,
        /// The call.
        context: Box<CallContext>,
    },
    /// STS cannot be reached, or its answer is unusable.
    #[error("no answer from STS: {reason}{}{context}", fate(.code))]
    Network {
        /// What went wrong.
        reason: String,
        /// What became of the code.
        code: CodeFate,
        /// The call.
        context: Box<CallContext>,
    },
    /// Any other error that STS reported.
    #[error("STS answered {code}: {message}{context}")]
    Service {
        /// The error code.
        code: String,
        /// What AWS said.
        message: String,
        /// The call.
        context: Box<CallContext>,
    },
    /// There are no source credentials.
    #[error(
        "no AWS credentials to begin with; name a profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: {0}"
    )]
    NoSourceCredentials(String),
    /// It takes a code, but none may be asked for here.
    #[error("an MFA login is required{}: log in first, where a code can be asked for", for_profile(.profile))]
    LoginRequired {
        /// The profile.
        profile: Option<String>,
        /// The device.
        serial: MfaSerial,
    },
    /// There is no terminal to ask for the code.
    #[error(
        "no terminal to ask for the MFA code of {serial}: give the code in SSM_TUNNEL_MFA_CODE, set mfa_process in the profile or SSM_TUNNEL_ASKPASS, or log in from a terminal first"
    )]
    NoTerminal {
        /// The device.
        serial: MfaSerial,
    },
    /// No code was entered in time.
    #[error("no MFA code of {serial} was entered within {}: try again with the device at hand", seconds(.after))]
    PromptTimeout {
        /// The device.
        serial: MfaSerial,
        /// The limit that passed.
        after: Duration,
    },
    /// The user cancelled the prompt.
    #[error("the MFA prompt was cancelled")]
    Cancelled,
    /// The code source gave no code.
    #[error(transparent)]
    Code(CodeError),
    /// The session store failed where that cannot be ignored.
    #[error("the session store failed at {0}")]
    Store(#[from] StoreError),
    /// The AWS SDK panicked.
    #[error(
        "the AWS SDK failed with {given}: {reason}; check the region, the endpoint and the keys for characters that do not belong there"
    )]
    Sdk {
        /// The settings it was called with.
        given: String,
        /// The panic's message.
        reason: String,
    },
    /// The login's task was dropped together with its tokio runtime.
    #[error("the login was interrupted: its tokio runtime shut down")]
    Interrupted,
}

/// The call that failed.
///
/// Its text is ` (profile dev, MFA device arn:…, STS at us-east-1, request 1a2b)`, without the parts
/// that are unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallContext {
    /// The profile that the login is for.
    pub profile: Option<String>,
    /// The MFA device.
    pub serial: Option<MfaSerial>,
    /// Region or URL of STS.
    pub endpoint: Option<String>,
    /// The request id, for AWS support.
    pub request_id: Option<String>,
}

/// Whether the code of a failed call can still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeFate {
    /// The call carried no code.
    NotInvolved,
    /// The code never left this machine and is still good.
    NotSent,
    /// The request may have arrived: AWS may not accept the code again.
    MaybeUsed,
}

impl MfaError {
    /// Whether the same login may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Network { .. })
    }

    /// Whether a person with the device can help.
    pub fn needs_user(&self) -> bool {
        matches!(
            self,
            Self::InvalidCode { .. }
                | Self::CodeReused { .. }
                | Self::LoginRequired { .. }
                | Self::NoTerminal { .. }
                | Self::PromptTimeout { .. }
                | Self::Cancelled
                | Self::Code(_)
        )
    }
}

impl fmt::Display for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [
            self.profile.as_ref().map(|name| format!("profile {name}")),
            self.serial
                .as_ref()
                .map(|serial| format!("MFA device {serial}")),
            self.endpoint.as_ref().map(|at| format!("STS at {at}")),
            self.request_id.as_ref().map(|id| format!("request {id}")),
        ];
        let known: Vec<String> = known.into_iter().flatten().collect();
        if known.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", known.join(", "))
    }
}

fn setting(key: &Option<&'static str>, value: &Option<String>) -> String {
    match (key, value) {
        (Some(key), Some(value)) => format!("{key} = {value}: "),
        (Some(key), None) => format!("{key}: "),
        _ => String::new(),
    }
}

fn skewed(skew: &Option<Duration>) -> String {
    skew.map(|skew| {
        format!(
            "; this machine's clock is {} s off AWS's, which alone can make every code invalid",
            skew.as_secs()
        )
    })
    .unwrap_or_default()
}

fn device(context: &CallContext) -> String {
    context
        .serial
        .as_ref()
        .map_or_else(|| "this".to_owned(), ToString::to_string)
}

fn owner(caller: &Option<String>, access_key_id: &str) -> String {
    match caller {
        Some(arn) => format!("{arn} (access key {access_key_id})"),
        None => format!("the user that the access key {access_key_id} belongs to"),
    }
}

fn section(context: &CallContext) -> String {
    match &context.profile {
        Some(name) if name == "default" => "[default]".to_owned(),
        Some(name) => format!("[profile {name}]"),
        None => "the profile".to_owned(),
    }
}

fn seconds(duration: &Duration) -> String {
    format!("{} s", duration.as_secs())
}

fn shorter(max: &Option<Duration>) -> String {
    match max {
        Some(max) => format!("ask for at most {} s (duration_seconds)", max.as_secs()),
        None => "ask for less (duration_seconds), or raise the role's maximum session duration"
            .to_owned(),
    }
}

fn at(time: &Option<SystemTime>) -> String {
    time.map_or_else(|| "another time".to_owned(), rfc3339)
}

fn for_profile(profile: &Option<String>) -> String {
    profile
        .as_ref()
        .map(|name| format!(" for profile {name}"))
        .unwrap_or_default()
}

fn fate(code: &CodeFate) -> &'static str {
    match code {
        CodeFate::NotInvolved => "",
        CodeFate::NotSent => "; the code was not sent",
        CodeFate::MaybeUsed => "; the code may have been used: wait for the next one",
    }
}
