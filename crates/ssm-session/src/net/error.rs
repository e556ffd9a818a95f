//! Why an endpoint could not be reached, and whether another attempt may help.

use std::io;
use std::time::Duration;

use ssm_aws::cause_chain;
use thiserror::Error;

use super::proxy::variable::ProxyError;
use super::stream_url::StreamUrlError;

/// Why the data channel's websocket could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL may not be connected to.
    #[error(transparent)]
    Url(#[from] StreamUrlError),
    /// The host cannot be reached.
    #[error(
        "cannot reach {host}: {error}; check the network, a proxy in between, and the VPC endpoint for ssmmessages"
    )]
    Network {
        /// Host and port.
        host: String,
        /// The system's error.
        error: io::Error,
    },
    /// TLS failed.
    #[error(
        "TLS to {host} failed: {error}; check the machine's clock and certificate store; if a proxy replaces certificates, name its root certificate in AWS_CA_BUNDLE"
    )]
    Tls {
        /// Host and port.
        host: String,
        /// The TLS error.
        error: String,
    },
    /// A proxy did not let the connection through.
    #[error("the proxy {proxy} did not connect to {host}: {reason}")]
    Proxy {
        /// The proxy, without credentials.
        proxy: String,
        /// Host and port behind it.
        host: String,
        /// What to do about it.
        reason: String,
        /// Whether another attempt may get through.
        retryable: bool,
    },
    /// The environment's proxy settings are invalid.
    #[error(transparent)]
    ProxyVariable(#[from] ProxyError),
    /// There are no credentials to sign with.
    #[error("no credentials to sign the data channel with: {}", cause_chain(.0))]
    Credentials(aws_credential_types::provider::error::CredentialsError),
    /// Signing failed.
    #[error("the request for the data channel cannot be signed: {0}")]
    Sign(String),
    /// The service refused the request.
    #[error("the service refused the data channel with HTTP {status}{}; the IAM action ssmmessages:OpenDataChannel must be allowed, the credentials still valid, and the clock right", shown(.text))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The service's text.
        text: String,
    },
    /// The peer does not speak websocket.
    #[error("{host} did not answer as a websocket: {reason}")]
    Handshake {
        /// Host and port.
        host: String,
        /// What was wrong.
        reason: String,
    },
    /// The host did not answer in time.
    #[error("{host} did not answer within {after:?}")]
    Timeout {
        /// Host and port.
        host: String,
        /// The limit that passed.
        after: Duration,
    },
}

impl ConnectError {
    /// Whether another attempt with the same settings may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Network { .. } | Self::Timeout { .. } | Self::Handshake { .. } => true,
            Self::Refused { status, .. } => is_passing(*status),
            Self::Proxy { retryable, .. } => *retryable,
            Self::Url(_)
            | Self::Tls { .. }
            | Self::ProxyVariable(_)
            | Self::Credentials(_)
            | Self::Sign(_) => false,
        }
    }
}

/// Whether another attempt may get a different answer.
pub(crate) fn is_passing(status: u16) -> bool {
    status == 429 || status >= 500
}

fn shown(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}
