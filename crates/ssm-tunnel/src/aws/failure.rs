//! Calls that were not sent: what the SDK and the connection below it report.

use aws_sdk_ssm::error::SdkError;
use ssm_relay::ConnectError;

use crate::causes::{chain, connect_error, is_about_credentials, is_about_reaching};
use crate::error::ServiceError;

impl ServiceError {
    /// The request could not be sent, or the connection failed.
    pub(crate) fn unsent<E, R>(action: &'static str, error: &SdkError<E, R>) -> Self
    where
        SdkError<E, R>: std::error::Error + 'static,
    {
        let texts = chain(error);
        if is_about_credentials(error) {
            return Self::Credentials {
                action,
                reason: texts,
                unreachable: is_about_reaching(error),
            };
        }
        if let Some(error) = connect_error(error) {
            return Self::unreached(action, error);
        }
        let of_the_network = match error {
            // A failure without a kind is a setting that the SDK refuses.
            SdkError::DispatchFailure(failure) => {
                failure.is_io() || failure.is_timeout() || failure.as_other().is_some()
            }
            _ => false,
        };
        match of_the_network {
            true => Self::Network {
                action,
                reason: texts,
            },
            false => Self::NotSent {
                action,
                reason: texts,
                retryable: false,
            },
        }
    }

    /// No connection could be made.
    fn unreached(action: &'static str, error: &ConnectError) -> Self {
        match error {
            ConnectError::Network { host, error } => Self::Network {
                action,
                reason: format!("cannot reach {host}: {error}"),
            },
            ConnectError::Timeout { .. } | ConnectError::Handshake { .. } => Self::Network {
                action,
                reason: error.to_string(),
            },
            // Behind a captive portal certificates are wrong only until the user has signed in.
            ConnectError::Tls { .. } => Self::NotSent {
                action,
                reason: error.to_string(),
                retryable: true,
            },
            ConnectError::Proxy { retryable, .. } => Self::NotSent {
                action,
                reason: format!("there is a proxy in between, and {error}"),
                retryable: *retryable,
            },
            error => Self::NotSent {
                action,
                reason: error.to_string(),
                retryable: false,
            },
        }
    }
}
