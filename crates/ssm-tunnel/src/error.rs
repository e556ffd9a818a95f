use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use ssm_relay::{
    ApiError, CaBundleError, ConnectError, End, OpenError, ProxyError, StreamUrlError,
};
use thiserror::Error;

use crate::denial::Denial;
use crate::target::TargetError;
use crate::target_state::TargetState;

/// Why a tunnel could not be opened, or ended.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// The builder's settings cannot work.
    #[error("{0}")]
    Settings(String),
    /// The local address cannot be listened on.
    #[error("cannot listen on {address}: {error}{}", advice(.error))]
    LocalAddress {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// The Unix socket cannot be listened on.
    #[error("cannot listen on {}: {error}{}", path.display(), socket_advice(.error))]
    LocalSocket {
        /// The socket's file.
        path: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// No region is configured.
    #[error("no AWS region: give one, or set AWS_REGION or `region` in the profile")]
    NoRegion,
    /// The AWS configuration cannot be used.
    #[error(transparent)]
    Configuration(ssm_aws::ConfigError),
    /// No credentials are configured.
    #[error("no AWS credentials: set a profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")]
    NoCredentials,
    /// The file that `AWS_CA_BUNDLE` names cannot be used.
    #[error(transparent)]
    CaBundle(CaBundleError),
    /// The environment's proxy cannot be read.
    #[error(transparent)]
    Proxy(ProxyError),
    /// The stream endpoint that was named cannot be used.
    #[error("the stream endpoint cannot be used: {0}")]
    StreamEndpoint(StreamUrlError),
    /// The target is none, or not the only one of its name.
    #[error(transparent)]
    Target(TargetError),
    /// A call to Systems Manager failed.
    #[error(transparent)]
    Service(Arc<ServiceError>),
    /// The tunnel has ended.
    #[error(transparent)]
    Ended(End),
    /// The connection could not be opened.
    #[error("the session cannot carry another connection: close some, or open another tunnel")]
    TooManyConnections,
}

/// What went wrong with a call to Systems Manager. Texts of the service come as it sent them;
/// secrets never do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The caller may not do this.
    #[error("{action} was denied{}{}; {}", said(.message), id(.request_id), Denial::read(message).advice(&iam_action(action), resources(action)))]
    AccessDenied {
        /// The API call.
        action: &'static str,
        /// The service's text.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The target is unknown, off, or its agent does not reach the service.
    #[error("{target} is not connected to Systems Manager{}{}: check its id and the region, that it runs, that its SSM agent runs, that its instance profile allows it (AmazonSSMManagedInstanceCore), and that it reaches the endpoints ssm, ssmmessages and ec2messages", id(.request_id), known(.state))]
    TargetNotConnected {
        /// The target.
        target: String,
        /// What is known of it otherwise. A tunnel that could not be opened asks for it.
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
    /// The service does not take the parameters.
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
    /// The access key is unknown or the signature wrong.
    #[error("AWS does not accept the credentials ({action}){}{}; check the access key, its secret, the profile and the machine's clock, and the region: one that is not enabled for the account, or that belongs to another partition (such as GovCloud or China), does not know the keys", said(.message), id(.request_id))]
    InvalidCredentials {
        /// The API call.
        action: &'static str,
        /// The service's text.
        message: String,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The target is a machine outside EC2, and the service refuses sessions to it without a reason.
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
    /// There is no such session (any more).
    #[error("there is no such session{}", id(.request_id))]
    NoSuchSession {
        /// For AWS support.
        request_id: Option<String>,
    },
    /// Too many calls.
    #[error("{action} was throttled{}: try again in a while", id(.request_id))]
    Throttled {
        /// The API call.
        action: &'static str,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// Any other answer.
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
    /// The answer cannot be understood.
    #[error("{action} was answered with something that is not an answer of Systems Manager{}: check the endpoint, and proxies in between", id(.request_id))]
    Unreadable {
        /// The API call.
        action: &'static str,
        /// For AWS support.
        request_id: Option<String>,
    },
    /// The AWS SDK could not make the request, or panicked at it.
    #[error(
        "{action} could not be asked, with {given}: {reason}; check the region, the endpoint and the credentials for characters that do not belong there"
    )]
    Sdk {
        /// The API call.
        action: &'static str,
        /// What the call was to be made with.
        given: String,
        /// What the SDK said.
        reason: String,
    },
    /// No answer came in time.
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
    /// The call could not be made, and not for the network's sake: settings that the SDK refuses, a
    /// certificate, a proxy.
    #[error("{action} could not be sent: {reason}")]
    NotSent {
        /// The API call.
        action: &'static str,
        /// What went wrong, and what to do.
        reason: String,
        /// Whether another attempt may get through.
        retryable: bool,
    },
    /// There are no credentials to sign the call with.
    #[error(
        "no credentials for {action}: {reason}; check the profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials {
        /// The API call.
        action: &'static str,
        /// What went wrong.
        reason: String,
        /// Whether their source could not be reached, which may pass.
        unreachable: bool,
    },
}

impl ServiceError {
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

    /// What a denial says of its cause; `None` of any other error.
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

impl From<End> for Error {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

impl From<TargetError> for Error {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl From<ServiceError> for Error {
    fn from(error: ServiceError) -> Self {
        Self::Service(Arc::new(error))
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Ended(end) => Self::Ended(end),
            OpenError::Start(error) => match Arc::try_unwrap(error) {
                Ok(error) => error.into(),
                Err(shared) => Self::Ended(End::Api(shared)),
            },
            _ => Self::TooManyConnections,
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        match error.into_cause().downcast::<ServiceError>() {
            Ok(error) => (*error).into(),
            Err(other) => Self::Ended(End::Api(Arc::new(ApiError::fatal(other)))),
        }
    }
}

fn advice(error: &io::Error) -> String {
    let advice = local_port_advice(error.kind());
    advice.map_or_else(String::new, |text| format!("; {text}"))
}

/// What to do about a local port that cannot be listened on.
pub(crate) fn local_port_advice(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::AddrInUse => Some(
            "another program, perhaps another tunnel, uses it: choose another local port, or 0 for a free one",
        ),
        io::ErrorKind::PermissionDenied => Some(FORBIDDEN),
        io::ErrorKind::AddrNotAvailable => {
            Some("this machine does not have that address: use 127.0.0.1")
        }
        _ => None,
    }
}

#[cfg(not(windows))]
const FORBIDDEN: &str = "ports below 1024 may need privileges: choose another";
/// WSAEACCES. Hyper-V, WSL and Docker reserve ranges that differ after each start.
#[cfg(windows)]
const FORBIDDEN: &str = "Windows has reserved it (`netsh interface ipv4 show excludedportrange protocol=tcp` tells) or another program has it to itself: choose another local port, or 0 for a free one";

fn socket_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program, perhaps another tunnel, listens there",
        io::ErrorKind::AlreadyExists => "; choose another path",
        io::ErrorKind::NotFound => "; its directory must exist",
        io::ErrorKind::PermissionDenied => "; its directory must be writable",
        _ => "",
    }
}

/// A text of the service, which may be empty.
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

/// The name that policies have for a call.
pub(crate) fn iam_action(action: &str) -> String {
    let service = match action {
        "GetCallerIdentity" => "sts",
        _ => "ssm",
    };
    format!("{service}:{action}")
}

/// What a policy must allow it on.
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

/// The texts of an error and its causes. `Display` only: an SDK error's `Debug` may show secrets.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut texts = Vec::<String>::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

/// Whether the network, or a time-out, is at its root.
pub(crate) fn is_about_reaching(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let timed_out = matches!(
            error.downcast_ref(),
            Some(CredentialsError::ProviderTimedOut(_))
        );
        let refused = error.downcast_ref::<ConnectError>();
        if timed_out
            || error.downcast_ref::<io::Error>().is_some()
            || refused.is_some_and(ConnectError::is_retryable)
        {
            return true;
        }
        next = error.source();
    }
    false
}

pub(crate) fn is_about_credentials(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<CredentialsError>().is_some() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: &str, message: &str, target: &str) -> String {
        let message = message.to_owned();
        ServiceError::answered("StartSession", code, message, None, target, "Doc").to_string()
    }

    #[test]
    fn an_empty_text_of_the_service_leaves_no_colon_behind() {
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
    fn a_bad_request_for_a_machine_outside_ec2_names_the_instances_tier() {
        let text = answered("BadRequest", "", "mi-0123456789abcdef0");
        assert!(text.contains("advanced-instances tier"), "{text}");
        let text = answered("BadRequest", "no", "mi-0123456789abcdef0");
        assert!(text.contains("(BadRequest): no;"), "{text}");
        let text = answered("BadRequest", "", "i-0123456789abcdef0");
        assert_eq!(text, "StartSession failed with BadRequest");
    }

    #[test]
    fn credentials_that_aws_does_not_know_name_the_region_among_the_causes() {
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

    #[test]
    fn a_local_port_that_cannot_be_listened_on_comes_with_what_to_do() {
        let told = |kind: io::ErrorKind| {
            let address = ([127, 0, 0, 1], 80).into();
            let error = Arc::new(kind.into());
            Error::LocalAddress { address, error }.to_string()
        };
        assert!(told(io::ErrorKind::AddrInUse).contains("perhaps another tunnel"));
        assert!(told(io::ErrorKind::AddrNotAvailable).contains("use 127.0.0.1"));
        let forbidden = told(io::ErrorKind::PermissionDenied);
        assert!(forbidden.contains("choose another"), "{forbidden}");
        // Windows has no privileged ports, but reserved ones.
        assert_eq!(forbidden.contains("privileges"), cfg!(not(windows)));
        assert_eq!(forbidden.contains("excludedportrange"), cfg!(windows));
    }
}
