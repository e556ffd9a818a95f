//! The causes of a foreign error: what they say, and which kinds are among them.

use std::error::Error as StdError;
use std::io;
use std::iter;

use aws_credential_types::provider::error::CredentialsError;
use ssm_relay::ConnectError;

type Cause<'a> = &'a (dyn StdError + 'static);

/// An error and its causes, outermost first.
fn causes(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    let mut next = Some(error);
    iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// The texts of an error and its causes. `Display` only: an SDK error's `Debug` may show secrets.
pub(crate) fn chain(error: Cause<'_>) -> String {
    let mut texts = Vec::<String>::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

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
