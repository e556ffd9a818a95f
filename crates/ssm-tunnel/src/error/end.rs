//! The end of a tunnel.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use ssm_relay::{ConnectError, EndKind};

use super::service::ServiceError;

/// Why a tunnel ended: [`kind`](Self::kind), and a text that says who caused it and what to do next.
#[derive(Clone)]
pub struct End(ssm_relay::End<Arc<ServiceError>>);

impl End {
    pub(crate) fn new(end: ssm_relay::End<Arc<ServiceError>>) -> Self {
        Self(end)
    }

    /// What ended it.
    pub fn kind(&self) -> EndKind {
        self.0.kind()
    }

    /// Whether it ended in order: as asked, or by the service without a complaint.
    pub fn is_clean(&self) -> bool {
        self.0.is_clean()
    }

    /// Whether the session turned out to be a shell or a command, which a tunnel does not carry.
    pub fn is_shell(&self) -> bool {
        matches!(&self.0, ssm_relay::End::Protocol(error) if error.is_shell())
    }

    /// The service's own text where it ended the session ([`EndKind::ByService`]); may be empty.
    pub fn service_text(&self) -> Option<&str> {
        match &self.0 {
            ssm_relay::End::ByService { output } => Some(output),
            _ => None,
        }
    }

    /// The call to Systems Manager that failed for good, where that ended the tunnel
    /// ([`EndKind::Api`]).
    pub fn service_error(&self) -> Option<Arc<ServiceError>> {
        match &self.0 {
            ssm_relay::End::Api(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Why the data channel could not be opened, where that ended the tunnel.
    pub(crate) fn connect_error(&self) -> Option<&ConnectError> {
        match &self.0 {
            ssm_relay::End::Connect(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for End {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
