//! The causes of a foreign error: what they say, and which kinds are among them.

use std::error::Error as StdError;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
pub(crate) use ssm_aws::cause_chain as chain;
use ssm_aws::causes;
use ssm_relay::ConnectError;

type Cause<'a> = &'a (dyn StdError + 'static);

/// Why there is no connection, where that is among the causes.
pub(crate) fn connect_error(error: Cause<'_>) -> Option<&ConnectError> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// Whether the network, or a timeout, is among the causes.
pub(crate) fn is_about_reaching(error: Cause<'_>) -> bool {
    causes(error).any(|cause| {
        let timed_out = matches!(
            cause.downcast_ref(),
            Some(CredentialsError::ProviderTimedOut(_))
        );
        let refused = cause.downcast_ref::<ConnectError>();
        timed_out || cause.is::<io::Error>() || refused.is_some_and(ConnectError::is_retryable)
    })
}

/// Whether a source of credentials is among the causes.
pub(crate) fn is_about_credentials(error: Cause<'_>) -> bool {
    causes(error).any(|cause| cause.is::<CredentialsError>())
}
