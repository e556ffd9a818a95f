//! Errors sorted by what a program does about them: an exit code, a hint, another attempt.

use super::{End, Error, ServiceError};
use ssm_relay::{ConnectError, EndKind};

/// The kind of an [`enum@Error`]: the same for every error that a program handles in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Settings that cannot work: of the builder, the AWS configuration, a proxy, certificates, an
    /// endpoint, the session document or its parameters.
    Settings,
    /// No region is configured.
    NoRegion,
    /// The local port or socket cannot be listened on.
    Local,
    /// Credentials are missing, have expired, or are unknown to AWS.
    Credentials,
    /// IAM denied a call or the data channel.
    Denied,
    /// The target is unknown, ambiguous, or not connected to Systems Manager.
    Target,
    /// AWS could not be reached, or failed a call.
    Aws,
    /// The tunnel was closed as requested, or the service ended it without an error.
    Closed,
    /// The service or the agent ended the session with an error.
    EndedByService,
    /// The session timed out or was terminated while disconnected.
    SessionGone,
    /// The connection was lost and could not be resumed.
    ConnectionLost,
    /// The agent violated the protocol, or missed one of its deadlines.
    Protocol,
    /// The session carries as many connections as it can.
    TooManyConnections,
    /// The tunnel's tasks were dropped together with their runtime.
    Aborted,
}

impl Error {
    /// What kind of cause it has.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Settings(_)
            | Self::Configuration(_)
            | Self::CaBundle(_)
            | Self::Proxy(_)
            | Self::StreamEndpoint(_) => ErrorKind::Settings,
            Self::LocalAddress { .. } | Self::LocalSocket { .. } => ErrorKind::Local,
            Self::NoRegion => ErrorKind::NoRegion,
            Self::NoCredentials => ErrorKind::Credentials,
            Self::Target(_) => ErrorKind::Target,
            Self::Service(error) => error.kind(),
            Self::Ended(end) => of_end(end),
            Self::TooManyConnections => ErrorKind::TooManyConnections,
        }
    }
}

impl ServiceError {
    /// What kind of cause it has.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidDocument { .. } | Self::InvalidParameters { .. } => ErrorKind::Settings,
            Self::AccessDenied { .. } => ErrorKind::Denied,
            Self::ExpiredToken { .. }
            | Self::InvalidCredentials { .. }
            | Self::Credentials { .. } => ErrorKind::Credentials,
            Self::TargetNotConnected { .. } => ErrorKind::Target,
            Self::NoSuchSession { .. } => ErrorKind::SessionGone,
            _ => ErrorKind::Aws,
        }
    }
}

fn of_end(end: &End) -> ErrorKind {
    match end.kind() {
        EndKind::Closed => ErrorKind::Closed,
        EndKind::ByService if end.is_clean() => ErrorKind::Closed,
        EndKind::ByService => ErrorKind::EndedByService,
        EndKind::SessionGone => ErrorKind::SessionGone,
        EndKind::ConnectionLost | EndKind::NotResumable => ErrorKind::ConnectionLost,
        EndKind::Protocol => ErrorKind::Protocol,
        EndKind::Connect => end.connect_error().map_or(ErrorKind::Aws, of_connecting),
        EndKind::Api => end
            .service_error()
            .map_or(ErrorKind::Aws, |error| error.kind()),
        _ => ErrorKind::Aborted,
    }
}

fn of_connecting(error: &ConnectError) -> ErrorKind {
    match error {
        ConnectError::Credentials(_) => ErrorKind::Credentials,
        ConnectError::Refused {
            status: 401 | 403, ..
        } => ErrorKind::Denied,
        ConnectError::Url(_) | ConnectError::ProxyVariable(_) => ErrorKind::Settings,
        _ => ErrorKind::Aws,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn ended(end: ssm_relay::End<Arc<ServiceError>>) -> Error {
        Error::Ended(End::new(end))
    }

    #[test]
    fn ends_have_the_kind_of_their_cause() {
        let text = || "x".to_owned();
        let refused = |status| ConnectError::Refused {
            status,
            text: text(),
        };
        let connect = |error| ssm_relay::End::Connect(Arc::new(error));
        let expired = Arc::new(ServiceError::ExpiredToken {
            action: "ResumeSession",
            request_id: None,
        });
        let by_service = |output: &str| ssm_relay::End::ByService {
            output: output.to_owned(),
        };
        let lost = ssm_relay::End::ConnectionLost {
            within: Duration::ZERO,
            last: text(),
        };
        let elsewhere = Arc::new(ServiceError::StartedElsewhere);
        for (end, expected) in [
            (ssm_relay::End::Closed, ErrorKind::Closed),
            (by_service(""), ErrorKind::Closed),
            (by_service("x"), ErrorKind::EndedByService),
            (ssm_relay::End::SessionGone, ErrorKind::SessionGone),
            (lost, ErrorKind::ConnectionLost),
            (ssm_relay::End::Aborted, ErrorKind::Aborted),
            (connect(refused(403)), ErrorKind::Denied),
            (connect(refused(500)), ErrorKind::Aws),
            (ssm_relay::End::Api(expired), ErrorKind::Credentials),
            (ssm_relay::End::Api(elsewhere), ErrorKind::Aws),
        ] {
            let error = ended(end);
            assert_eq!(error.kind(), expected, "{error}");
        }
    }

    #[test]
    fn service_errors_have_the_kind_of_their_cause() {
        let answered = |code: &str| {
            ServiceError::answered("StartSession", code, String::new(), None, "i-1", "Doc").kind()
        };
        for (code, expected) in [
            ("AccessDeniedException", ErrorKind::Denied),
            ("TargetNotConnected", ErrorKind::Target),
            ("InvalidDocument", ErrorKind::Settings),
            ("ExpiredTokenException", ErrorKind::Credentials),
            ("DoesNotExistException", ErrorKind::SessionGone),
            ("ThrottlingException", ErrorKind::Aws),
            ("SomethingNew", ErrorKind::Aws),
        ] {
            assert_eq!(answered(code), expected, "{code}");
        }
    }
}
