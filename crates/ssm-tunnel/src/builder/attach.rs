//! A tunnel over a session that was started elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use ssm_aws::AwsConfig;
use ssm_relay::{Limits, OnSessionEnd};

use super::common::{Common, common_setters};
use super::open::{self, Start};
use super::started::{Attached, StartedSession};
use crate::aws::{SessionRequest, SystemsManager};
use crate::error::Error;
use crate::settings::{Settings, network_setters};
use crate::tunnel::{Destination, Tunnel};

/// Settings of a [`Tunnel`] over a session that was started elsewhere; see [`Tunnel::attach`]. The
/// session's target, document and parameters are settled already. The order of the calls does not
/// matter.
#[derive(Debug, Clone)]
#[must_use = "nothing happens until `open` is called"]
pub struct AttachBuilder {
    session: StartedSession,
    settings: Settings,
    common: Common,
}

impl AttachBuilder {
    pub(crate) fn new(session: StartedSession) -> Self {
        Self {
            session,
            settings: Settings::default(),
            common: Common::default(),
        }
    }

    common_setters!();
    network_setters!();

    /// Binds the local port and opens the data channel in the background:
    /// [`ready`](Tunnel::ready) waits for the agent. Credentials are needed to sign the data
    /// channel's request, and to resume and terminate the session.
    ///
    /// # Errors
    /// Settings that cannot work, the local port in use, no region or credentials.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<Tunnel, Error> {
        let Self {
            session,
            settings,
            common,
        } = self;
        common.check(&settings)?;
        let bound = common.local.listen().await?;
        let resolved = settings.resolve().await?;
        let start = Start::new(&common, &resolved)?;
        let service = SystemsManager::new(open::access(&resolved), SessionRequest::default());
        let api = Arc::new(Attached::new(session, service));
        let destination = Destination::default();
        let opening = start.tunnel(resolved, api, bound, OnSessionEnd::Stop, destination);
        opening.await
    }
}
