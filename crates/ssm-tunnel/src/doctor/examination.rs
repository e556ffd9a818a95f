//! What is examined: the settings as a tunnel would use them.

use std::time::{Duration, SystemTime};

use crate::aws::Access;
use crate::network::{CaBundle, Proxy};
use crate::settings::Document;

/// What the caller knows about MFA: the credentials do not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Mfa {
    /// Nothing.
    #[default]
    Unknown,
    /// The credentials belong to a session that was started with a code.
    Session {
        /// When another code is needed.
        until: Option<SystemTime>,
    },
    /// Logging in failed for this reason; the credentials are those from before.
    Failed(String),
}

/// Settings, resolved, and what to do with them.
#[derive(Debug)]
pub(super) struct Examination {
    /// With the doctor's deadlines.
    pub(super) access: Access,
    pub(super) stream_endpoint: Option<String>,
    pub(super) proxy: Proxy,
    pub(super) ca_bundle: Option<CaBundle>,
    pub(super) target: Option<String>,
    pub(super) document: Document,
    pub(super) mfa: Mfa,
    pub(super) credentials_from: Option<String>,
    pub(super) start_session: bool,
    pub(super) deadline: Duration,
}

impl Examination {
    /// Waits for a check until the deadline.
    pub(super) async fn in_time<T>(&self, check: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.deadline, check).await.ok()
    }
}
