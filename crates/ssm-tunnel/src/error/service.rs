//! What went wrong with a call to AWS.

use thiserror::Error;

use super::denial::Denial;
use crate::node::TargetState;

/// What went wrong with a call to Systems Manager or STS. Texts of the service are passed on as they
/// came; they contain no secrets.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// IAM denied the call.
    #[error("{action} was denied{}{}; {}", said(.message), id(.request_id), Denial::read(message).advice(&iam_action(action), resources(action)))]
    AccessDenied {
        /// The API call.
        action: &'static str,
        /// The service's text.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The target is unknown or off, or its agent does not reach the service.
    #[error("{target} is not connected to Systems Manager{}{}: check its id and the region, that it runs, that its SSM agent runs, that its instance profile allows it (AmazonSSMManagedInstanceCore), and that it reaches the endpoints ssm, ssmmessages and ec2messages", id(.request_id), known(.state))]
    TargetNotConnected {
        /// The target.
        target: String,
        /// What Systems Manager knows about it. Filled in where opening a tunnel failed.
        state: Option<TargetState>,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The session document does not exist here, or is not for sessions.
    #[error("the session document {document} cannot be used{}{}; check its name and the region", said(.message), id(.request_id))]
    InvalidDocument {
        /// Its name.
        document: String,
        /// The service's text.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The service rejects the parameters.
    #[error("{action} does not take these parameters{}{}", said(.message), id(.request_id))]
    InvalidParameters {
        /// The API call.
        action: &'static str,
        /// The service's text.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The session token has expired.
    #[error("the credentials have expired ({action}): log in again{}", id(.request_id))]
    ExpiredToken {
        /// The API call.
        action: &'static str,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The access key is unknown, or the signature does not match.
    #[error("AWS does not accept the credentials ({action}){}{}; check the access key, its secret, the profile and the machine's clock, and the region: one that is not enabled for the account, or that belongs to another partition (such as GovCloud or China), does not know the keys", said(.message), id(.request_id))]
    InvalidCredentials {
        /// The API call.
        action: &'static str,
        /// The service's text.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The target is a machine outside EC2, and the service gave no reason for refusing the session.
    #[error("{action} was refused for {target} (BadRequest){}{}; for a machine outside EC2 this usually means that the account and region have the standard-instances tier only: sessions to managed nodes whose id begins with mi- need the advanced-instances tier (Fleet Manager, Account management, Instance tier settings)", said(.message), id(.request_id))]
    AdvancedInstancesTier {
        /// The API call.
        action: &'static str,
        /// The target.
        target: String,
        /// The service's text; may be empty.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The session was started elsewhere ([`Tunnel::attach`](crate::Tunnel::attach)), so that no further
    /// one can be started.
    #[error("the session was started elsewhere, so no other can be started")]
    StartedElsewhere,
    /// The session does not exist, or no longer.
    #[error("there is no such session{}", id(.request_id))]
    NoSuchSession {
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The service throttled the call.
    #[error("{action} was throttled{}: try again in a while", id(.request_id))]
    Throttled {
        /// The API call.
        action: &'static str,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// Any other error code.
    #[error("{action} failed with {code}{}{}", said(.message), id(.request_id))]
    Other {
        /// The API call.
        action: &'static str,
        /// The service's error code.
        code: String,
        /// The service's text.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The answer is not one of Systems Manager's.
    #[error("{action} was answered with something that is not an answer of Systems Manager{}: check the endpoint, and proxies in between", id(.request_id))]
    Unreadable {
        /// The API call.
        action: &'static str,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The AWS SDK could not build the request, or panicked.
    #[error(
        "{action} could not be asked, with {given}: {reason}; check the region, the endpoint and the credentials for characters that do not belong there"
    )]
    Sdk {
        /// The API call.
        action: &'static str,
        /// Region and endpoint of the call.
        given: String,
        /// What the SDK reported.
        reason: String,
    },
    /// The answer did not arrive in time.
    #[error("{action} was not answered in time: check the network")]
    Timeout {
        /// The API call.
        action: &'static str,
    },
    /// The service cannot be reached.
    #[error(
        "{action} could not be sent: {reason}; check the network, the region, the endpoint, and a proxy in between"
    )]
    Network {
        /// The API call.
        action: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// The call could not be sent for a reason other than the network: settings that the SDK refuses,
    /// a certificate, a proxy.
    #[error("{action} could not be sent: {reason}")]
    NotSent {
        /// The API call.
        action: &'static str,
        /// What went wrong, and what to do.
        reason: String,
        /// Whether another attempt may succeed.
        retryable: bool,
    },
    /// No credentials were available to sign the call.
    #[error(
        "no credentials for {action}: {reason}; check the profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials {
        /// The API call.
        action: &'static str,
        /// What went wrong.
        reason: String,
        /// Whether their source could not be reached, which may be temporary.
        unreachable: bool,
    },
}

impl ServiceError {
    /// An answer with an error code, sorted by who caused it.
    pub(crate) fn answered(
        action: &'static str,
        code: &str,
        message: String,
        request_id: Option<String>,
        target: &str,
        document: &str,
    ) -> Self {
        match code {
            "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => {
                Self::AccessDenied {
                    action,
                    message,
                    request_id,
                }
            }
            "TargetNotConnected" | "InvalidTarget" | "InvalidInstanceId" => {
                Self::TargetNotConnected {
                    target: target.to_owned(),
                    state: None,
                    request_id,
                }
            }
            "InvalidDocument" | "InvalidDocumentVersion" | "InvalidDocumentOperation" => {
                Self::InvalidDocument {
                    document: document.to_owned(),
                    message,
                    request_id,
                }
            }
            "ValidationException" | "InvalidParameters" | "InvalidParameterException" => {
                Self::InvalidParameters {
                    action,
                    message,
                    request_id,
                }
            }
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => {
                Self::ExpiredToken { action, request_id }
            }
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "InvalidClientTokenId"
            | "AuthFailure"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken" => Self::InvalidCredentials {
                action,
                message,
                request_id,
            },
            "BadRequest" | "BadRequestException" if target.starts_with("mi-") => {
                Self::AdvancedInstancesTier {
                    action,
                    target: target.to_owned(),
                    message,
                    request_id,
                }
            }
            "DoesNotExistException" => Self::NoSuchSession { request_id },
            "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "RequestLimitExceeded" => Self::Throttled { action, request_id },
            code => Self::Other {
                action,
                code: code.to_owned(),
                message,
                request_id,
            },
        }
    }

    /// What the service says about a denial; `None` for any other error.
    pub fn denial(&self) -> Option<Denial> {
        match self {
            Self::AccessDenied { message, .. } => Some(Denial::read(message)),
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Throttled { .. }
            | Self::Unreadable { .. }
            | Self::Timeout { .. }
            | Self::Network { .. }
            | Self::NotSent {
                retryable: true, ..
            }
            | Self::Credentials {
                unreachable: true, ..
            } => true,
            Self::Other { code, .. } => {
                matches!(
                    code.as_str(),
                    "InternalServerError"
                        | "InternalServerException"
                        | "InternalFailure"
                        | "ServiceUnavailable"
                        | "ServiceUnavailableException"
                        | "RequestTimeout"
                        | "RequestTimeoutException"
                )
            }
            _ => false,
        }
    }
}

/// The service's text, which may be empty.
fn said(message: &str) -> String {
    match message.trim() {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

fn id(request_id: &Option<String>) -> String {
    request_id
        .as_ref()
        .map(|id| format!(" (request {id})"))
        .unwrap_or_default()
}

/// The name of a call in IAM policies.
pub(crate) fn iam_action(action: &str) -> String {
    let service = match action {
        "GetCallerIdentity" => "sts",
        _ => "ssm",
    };
    format!("{service}:{action}")
}

/// The resources on which a policy must allow it.
fn resources(action: &str) -> &'static str {
    match action {
        "StartSession" => "the target and the session document",
        "ResumeSession" | "TerminateSession" => "the user's own sessions",
        "GetConnectionStatus" => "the target",
        _ => "all resources (\"*\")",
    }
}

fn known(state: &Option<TargetState>) -> String {
    state
        .as_ref()
        .map(|state| format!("; {state}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: &str, message: &str, target: &str) -> String {
        let message = message.to_owned();
        ServiceError::answered("StartSession", code, message, None, target, "Doc").to_string()
    }

    #[test]
    fn empty_service_texts_leave_no_dangling_punctuation() {
        for code in [
            "AccessDeniedException",
            "InvalidDocument",
            "ValidationException",
            "UnrecognizedClientException",
            "BadRequest",
            "SomethingNew",
        ] {
            for target in ["i-1", "mi-1"] {
                for message in ["", " ", "\n"] {
                    let text = answered(code, message, target);
                    for dangling in [": ;", ":;", ": (", "  "] {
                        assert!(!text.contains(dangling), "{text}");
                    }
                    assert!(!text.trim_end().ends_with(':'), "{text}");
                }
            }
        }
    }

    #[test]
    fn bad_request_outside_ec2_names_the_instances_tier() {
        let text = answered("BadRequest", "", "mi-0123456789abcdef0");
        assert!(text.contains("advanced-instances tier"), "{text}");
        let text = answered("BadRequest", "no", "mi-0123456789abcdef0");
        assert!(text.contains("(BadRequest): no;"), "{text}");
        let text = answered("BadRequest", "", "i-0123456789abcdef0");
        assert_eq!(text, "StartSession failed with BadRequest");
    }

    #[test]
    fn unknown_credentials_name_the_region_as_a_cause() {
        for code in ["UnrecognizedClientException", "InvalidClientTokenId"] {
            let text = answered(
                code,
                "The security token included in the request is invalid.",
                "i-1",
            );
            for words in ["region", "not enabled", "partition", "clock"] {
                assert!(text.contains(words), "{words} is not in {text}");
            }
        }
    }
}
