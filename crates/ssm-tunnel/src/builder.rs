//! Opening a tunnel: to a target, or over a session that was started elsewhere.

mod attach;
mod common;
mod local;
mod open;
pub(crate) mod started;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use ssm_aws::AwsConfig;
use ssm_relay::{Limits, OnSessionEnd};

use crate::aws::nodes::Nodes;
use crate::aws::{SessionRequest, SystemsManager};
use crate::error::Error;
use crate::lookup;
use crate::settings::{Document, Settings, check, network_setters};
use crate::tunnel::{Destination, Tunnel};
pub use attach::AttachBuilder;
use common::{Common, common_setters};
use open::Start;

/// Settings of a [`Tunnel`]; see [`Tunnel::builder`]. The order of the calls does not matter.
#[derive(Debug, Clone)]
#[must_use = "nothing happens until `open` is called"]
pub struct TunnelBuilder {
    target: String,
    document: Document,
    reason: Option<String>,
    on_session_end: OnSessionEnd,
    settings: Settings,
    common: Common,
}

impl TunnelBuilder {
    pub(crate) fn new(target: String) -> Self {
        Self {
            target,
            document: Document::default(),
            reason: None,
            on_session_end: OnSessionEnd::Stop,
            settings: Settings::default(),
            common: Common::default(),
        }
    }

    /// The port to reach, 1 to 65535. Required, unless a custom document says otherwise.
    pub fn remote_port(mut self, port: u16) -> Self {
        self.document.remote_port = Some(port);
        self
    }

    /// A host to reach from the target: the session uses
    /// `AWS-StartPortForwardingSessionToRemoteHost`. Unset, it is the target itself, as with
    /// `localhost`, `127.0.0.1`, `::1` and every other spelling of them
    /// ([`is_target_itself`](crate::is_target_itself)), unless a document is named too.
    pub fn remote_host(mut self, host: impl Into<String>) -> Self {
        self.document.remote_host = Some(host.into());
        self
    }

    /// The session document. Default `AWS-StartPortForwardingSession`, or the one for remote hosts.
    /// A custom one must be of session type `Port`; it gets `portNumber` and `host` where they are
    /// set, and every [`parameter`](Self::parameter).
    pub fn document_name(mut self, name: impl Into<String>) -> Self {
        self.document.name = Some(name.into());
        self
    }

    /// A parameter of the session document. It replaces the value that would be sent under that
    /// name.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let values = vec![value.into()];
        self.document.parameters.insert(name.into(), values);
        self
    }

    /// Why the session is started: shown in the session history. 1 to 256 characters.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Spread connections over up to this many sessions, for parallel downloads: the agent sends at
    /// most about 0.8 MB/s per session. Default 1. It takes precedence over [`Limits::sessions`],
    /// which describes the costs.
    pub fn sessions(mut self, sessions: usize) -> Self {
        self.common.limits.sessions = Some(sessions);
        self
    }

    /// What happens to the tunnel when its session ends for good. Default: it ends too.
    pub fn on_session_end(mut self, policy: OnSessionEnd) -> Self {
        self.on_session_end = policy;
        self
    }

    common_setters!();
    network_setters!();

    /// Binds the local port, looks the target up unless it is an id, starts the session, and
    /// returns once the service answered. When it answers that the target is not connected, two
    /// further calls ask why, for [`Limits::connect_timeout`] at most; where they are denied, the
    /// error does not say.
    ///
    /// # Errors
    /// Settings that cannot work, the local port in use, no region or credentials, and every error
    /// of the service, each a variant of [`Error`] that says what to do next.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<Tunnel, Error> {
        self.check()?;
        let Self {
            target,
            document,
            reason,
            on_session_end,
            settings,
            common,
        } = self;
        // Before any call: a busy port costs no session.
        let bound = common.local.listen().await?;
        let resolved = settings.resolve().await?;
        let start = Start::new(&common, &resolved)?;
        let access = open::access(&resolved);
        let nodes = Nodes::new(access.clone());
        let id = match lookup::is_id(&target) {
            true => target,
            false => lookup::find(&nodes, &target).await?.id,
        };
        let request = SessionRequest {
            target: id.clone(),
            document_name: document.name().to_owned(),
            parameters: document.parameters(bound.address.map(|address| address.port())),
            reason,
        };
        let destination = Destination {
            target: Some(id),
            host: document.named_host().map(str::to_owned),
            port: document.remote_port,
        };
        let patience = start.limits.connect_timeout;
        let api = Arc::new(SystemsManager::new(access, request));
        let opening = start.tunnel(resolved, api, bound, on_session_end, destination);
        match opening.await {
            Ok(tunnel) => Ok(tunnel),
            Err(error) => Err(open::explained(error, &nodes, patience).await),
        }
    }

    fn check(&self) -> Result<(), Error> {
        self.common.check(&self.settings)?;
        check::target(&self.target)?;
        self.document.check()?;
        match &self.reason {
            Some(reason) => check::reason(reason),
            None => Ok(()),
        }
    }
}
