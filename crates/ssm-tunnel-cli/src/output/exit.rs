//! Exit codes: one for each kind of outcome, so that scripts can tell them apart.

use ssm_aws::ConfigError;
use ssm_mfa::MfaError;
use ssm_tunnel::{Error, ErrorKind, ProxyError};

use super::failure::{ClientFailed, Denied};
use crate::rdp::{NoRdpClient, PasswordError, PrivateKeyError};

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0    closed as requested, or ended by the service without an error
  1    any other failure
  2    invalid options
  3    settings that cannot work, or the local port or socket is in use
  4    not permitted: MFA, credentials, or the IAM policy
  5    the target is unknown, ambiguous, or not connected to Systems Manager
  6    AWS could not be reached, or failed
  7    the service or the agent ended the session with an error
  8    the session no longer exists: it timed out or was terminated while disconnected
  9    the connection was lost and could not be resumed in time
  10   the agent violated the protocol
  11   the Remote Desktop client is missing, or failed
  12   the instance has no password yet
  130  interrupted before it was done; after a second interrupt the session may stay listed until it times out";

/// Exit code of an interrupted program, by the convention of shells.
pub const INTERRUPTED: u8 = 130;

/// Exit code when no machine has that name.
pub const UNKNOWN_TARGET: u8 = 5;

/// The exit code for an error.
pub fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<Error>() {
            return of_kind(error.kind());
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

/// Which option or command gives what is missing: the libraries know neither.
pub fn hint(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let kind = match (cause.downcast_ref::<Error>(), cause.downcast_ref()) {
            (Some(error), _) => error.kind(),
            (None, Some(error)) => return hint_for_mfa(error),
            _ => return None,
        };
        hint_for(kind)
    })
}

fn of_kind(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Closed => 0,
        ErrorKind::Settings | ErrorKind::NoRegion | ErrorKind::Local => 3,
        ErrorKind::Credentials | ErrorKind::Denied => 4,
        ErrorKind::Target => 5,
        ErrorKind::Aws => 6,
        ErrorKind::EndedByService => 7,
        ErrorKind::SessionGone => 8,
        ErrorKind::ConnectionLost => 9,
        ErrorKind::Protocol => 10,
        _ => 1,
    }
}

/// The option that sets what is missing.
fn hint_for(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::NoRegion => Some("--region REGION gives one, such as --region eu-west-1"),
        _ => None,
    }
}

/// The option or command that gives what an MFA login lacks.
fn hint_for_mfa(error: &MfaError) -> Option<&'static str> {
    match error {
        MfaError::NoRegion => hint_for(ErrorKind::NoRegion),
        MfaError::NoTerminal { .. } => Some(
            "--mfa-code CODE gives the code; `ssm-tunnel mfa login`, in a terminal, starts the session for all programs",
        ),
        MfaError::WrongDevice { .. } => {
            Some("`ssm-tunnel mfa --list-devices` lists the user's MFA devices")
        }
        _ => None,
    }
}

fn of_password(error: &PasswordError) -> u8 {
    match error {
        PasswordError::NotAnInstance(_) | PasswordError::WrongKey { .. } => 3,
        PasswordError::Denied { .. } => 4,
        PasswordError::NoSuchInstance { .. } => 5,
        PasswordError::NotAvailable { .. } => 12,
        PasswordError::Call(error) => of_kind(error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use ssm_tunnel::ServiceError;

    use super::*;

    #[test]
    fn kinds_of_errors_have_different_exit_codes() {
        let text = || "x".to_owned();
        let expired = ServiceError::ExpiredToken {
            action: "ResumeSession",
            request_id: None,
        };
        for (error, expected) in [
            (Error::Settings(text()), 3),
            (Error::NoCredentials, 4),
            (Error::TooManyConnections, 1),
            (Error::from(expired), 4),
        ] {
            let shown = error.to_string();
            let error = anyhow::Error::from(error).context("the tunnel ended");
            assert_eq!(code(&error), expected, "{shown}");
        }
        for (kind, expected) in [
            (ErrorKind::Closed, 0),
            (ErrorKind::Aborted, 1),
            (ErrorKind::Target, 5),
            (ErrorKind::Aws, 6),
            (ErrorKind::EndedByService, 7),
            (ErrorKind::SessionGone, 8),
            (ErrorKind::ConnectionLost, 9),
            (ErrorKind::Protocol, 10),
        ] {
            assert_eq!(of_kind(kind), expected, "{kind:?}");
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
