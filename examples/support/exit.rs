//! Exit codes: one for each kind of end, so that scripts can tell them apart.

use ssm_aws::ConfigError;
use ssm_mfa::MfaError;
use ssm_tunnel::{
    ConnectError, End, EndKind, Error, NoRdpClient, PasswordError, PrivateKeyError, ProxyError,
    ServiceError,
};

use crate::launch::ClientFailed;
use crate::login::Denied;

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0    ended as asked, or by the service without a complaint
  1    anything else
  2    wrong options
  3    the settings cannot work, or the local port or socket is taken
  4    not permitted: MFA, credentials, or the IAM policy
  5    the target is not known, not the only one of its name, or not connected to Systems Manager
  6    AWS could not be reached, or failed
  7    the service or the agent ended the session with a complaint
  8    the session is gone: it timed out or was terminated while disconnected
  9    the connection was lost and could not be resumed in time
  10   the agent broke the protocol
  11   the Remote Desktop client is missing, or failed
  12   the instance has no password yet
  130  interrupted before it was done; or a second time, and then the session may stay listed until it times out";

/// Of a program that was interrupted before it was done, as shells count it.
pub const INTERRUPTED: u8 = 130;

/// The exit code that tells of this error.
pub fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<Error>() {
            return of_tunnel(error);
        }
        let missing = cause.downcast_ref::<NoRdpClient>().is_some();
        if missing || cause.downcast_ref::<ClientFailed>().is_some() {
            return 11;
        }
        if let Some(error) = cause.downcast_ref::<PasswordError>() {
            return of_password(error);
        }
        let unusable = cause.downcast_ref::<ConfigError>().is_some()
            || cause.downcast_ref::<ProxyError>().is_some();
        if unusable || cause.downcast_ref::<PrivateKeyError>().is_some() {
            return 3;
        }
        match cause.downcast_ref::<MfaError>() {
            Some(MfaError::Settings(_) | MfaError::NoRegion) => return 3,
            Some(_) => return 4,
            None if cause.downcast_ref::<Denied>().is_some() => return 4,
            None => {}
        }
    }
    1
}

/// What an error leaves to the program to say: which option sets what is missing.
pub fn hint(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let region = matches!(cause.downcast_ref(), Some(Error::NoRegion))
            || matches!(cause.downcast_ref(), Some(MfaError::NoRegion));
        region.then_some("--region REGION gives one, such as --region eu-west-1")
    })
}

fn of_tunnel(error: &Error) -> u8 {
    match error {
        Error::Settings(_)
        | Error::LocalAddress { .. }
        | Error::LocalSocket { .. }
        | Error::NoRegion
        | Error::Proxy(_)
        | Error::Configuration(_)
        | Error::StreamEndpoint(_) => 3,
        Error::NoCredentials => 4,
        Error::Target(_) => 5,
        Error::Service(error) => of_service(error),
        Error::Ended(end) => of_end(end),
        _ => 1,
    }
}

fn of_password(error: &PasswordError) -> u8 {
    match error {
        PasswordError::NotAnInstance(_) | PasswordError::WrongKey { .. } => 3,
        PasswordError::Denied { .. } => 4,
        PasswordError::NoSuchInstance { .. } => 5,
        PasswordError::NotAvailable { .. } => 12,
        PasswordError::Service(error) => of_service(error),
        PasswordError::Settings(error) => of_tunnel(error),
        _ => 1,
    }
}

fn of_service(error: &ServiceError) -> u8 {
    match error {
        ServiceError::InvalidDocument { .. } | ServiceError::InvalidParameters { .. } => 3,
        ServiceError::AccessDenied { .. }
        | ServiceError::ExpiredToken { .. }
        | ServiceError::InvalidCredentials { .. }
        | ServiceError::Credentials { .. } => 4,
        ServiceError::TargetNotConnected { .. } => 5,
        ServiceError::NoSuchSession { .. } => 8,
        _ => 6,
    }
}

fn of_end(end: &End) -> u8 {
    match end.kind() {
        EndKind::Closed => 0,
        EndKind::ByService if end.is_clean() => 0,
        EndKind::ByService => 7,
        EndKind::SessionGone => 8,
        EndKind::ConnectionLost | EndKind::NotResumable => 9,
        EndKind::Protocol => 10,
        EndKind::Connect => match end {
            End::Connect(error) => of_connecting(error),
            _ => 6,
        },
        EndKind::Api => match end {
            End::Api(error) => error
                .cause()
                .downcast_ref::<ServiceError>()
                .map_or(6, of_service),
            _ => 6,
        },
        _ => 1,
    }
}

fn of_connecting(error: &ConnectError) -> u8 {
    match error {
        ConnectError::Credentials(_)
        | ConnectError::Refused {
            status: 401 | 403, ..
        } => 4,
        ConnectError::Url(_) | ConnectError::ProxyVariable(_) => 3,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_different_kinds_have_different_codes() {
        let text = || "x".to_owned();
        let denied = ConnectError::Refused {
            status: 403,
            text: text(),
        };
        let expired = ServiceError::ExpiredToken {
            action: "ResumeSession",
            request_id: None,
        };
        for (error, expected) in [
            (Error::Settings(text()), 3),
            (Error::NoCredentials, 4),
            (Error::Ended(End::Closed), 0),
            (
                Error::Ended(End::ByService {
                    output: String::new(),
                }),
                0,
            ),
            (Error::Ended(End::ByService { output: text() }), 7),
            (Error::Ended(End::SessionGone), 8),
            (
                Error::Ended(End::ConnectionLost {
                    within: std::time::Duration::ZERO,
                    last: text(),
                }),
                9,
            ),
            (Error::Ended(End::Aborted), 1),
            (Error::Service(std::sync::Arc::new(expired)), 4),
            (Error::Ended(End::Connect(std::sync::Arc::new(denied))), 4),
        ] {
            let shown = error.to_string();
            let error = anyhow::Error::from(error).context("the tunnel ended");
            assert_eq!(code(&error), expected, "{shown}");
            assert!(
                HELP.contains(&format!("\n  {expected} ")),
                "{expected} is not in the help"
            );
        }
        assert_eq!(code(&anyhow::anyhow!("anything")), 1);
        let settings = MfaError::Settings(text());
        assert_eq!(code(&anyhow::Error::from(settings)), 3);
    }

    #[test]
    fn a_missing_region_is_a_setting_and_names_the_option() {
        for error in [
            anyhow::Error::from(Error::NoRegion),
            anyhow::Error::from(MfaError::NoRegion).context("no credentials"),
        ] {
            assert_eq!(code(&error), 3, "{error:#}");
            let hint = hint(&error).expect("a hint");
            assert!(hint.contains("--region"), "{hint}");
        }
        assert_eq!(hint(&anyhow::anyhow!("no AWS region")), None);
    }
}
