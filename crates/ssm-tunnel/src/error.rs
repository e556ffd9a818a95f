//! Why a tunnel could not be opened, or why it ended.

mod denial;
mod end;
mod kind;
mod local;
mod service;
mod target;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ssm_relay::OpenError;
use thiserror::Error;

use crate::network::{CaBundleError, ProxyError};
pub use denial::{Denial, DenialCause, PolicyType};
pub use end::End;
pub use kind::ErrorKind;
#[cfg(feature = "doctor")]
pub(crate) use local::port_advice;
pub use service::ServiceError;
#[cfg(feature = "doctor")]
pub(crate) use service::iam_action;
pub use target::TargetError;

/// Why a tunnel could not be opened, or why it ended. [`kind`](Self::kind) sorts the causes by what
/// a program does about them.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// The builder's settings cannot work. The text names the setting and a value that can.
    #[error("{0}")]
    Settings(String),
    /// The local address cannot be listened on.
    #[error("cannot listen on {address}: {error}{}", local::address_advice(.error))]
    LocalAddress {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system reported.
        error: Arc<io::Error>,
    },
    /// The Unix socket cannot be listened on.
    #[error("cannot listen on {}: {error}{}", path.display(), local::socket_advice(.error))]
    LocalSocket {
        /// The socket's file.
        path: PathBuf,
        /// What the operating system reported.
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
    /// The certificate bundle cannot be used.
    #[error(transparent)]
    CaBundle(CaBundleError),
    /// The environment's proxy cannot be read.
    #[error(transparent)]
    Proxy(ProxyError),
    /// The stream endpoint cannot be used. The text says why.
    #[error("the stream endpoint cannot be used: {0}")]
    StreamEndpoint(String),
    /// The target's name or address leads to no managed node, or to several.
    #[error(transparent)]
    Target(TargetError),
    /// A call to Systems Manager failed.
    #[error(transparent)]
    Service(Arc<ServiceError>),
    /// The tunnel has ended.
    #[error(transparent)]
    Ended(End),
    /// The session carries as many connections as it can.
    #[error("the session cannot carry another connection: close some, or open another tunnel")]
    TooManyConnections,
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

impl Error {
    /// Why a connection could not be opened.
    pub(crate) fn from_open(error: OpenError<Arc<ServiceError>>) -> Self {
        match error {
            OpenError::InvalidLimits(problem) => Self::Settings(problem),
            OpenError::Ended(end) => Self::Ended(End::new(end)),
            OpenError::Start(error) | OpenError::StartFurther(error) => Self::Service(error),
            _ => Self::TooManyConnections,
        }
    }
}
