//! From resolved settings and a session to a running tunnel.

use std::sync::Arc;
use std::time::Duration;

use ssm_relay::{Limits, OnSessionEnd, Relay, RelayConfig, SessionApi, Signer};

use super::common::Common;
use super::local::Bound;
use crate::aws::Access;
use crate::aws::nodes::Nodes;
use crate::error::{Error, ServiceError};
use crate::lookup;
use crate::settings::Resolved;
use crate::tunnel::{Destination, Tunnel};

pub(super) fn access(resolved: &Resolved) -> Access {
    Access {
        sdk_config: resolved.sdk_config.clone(),
        endpoint_url: resolved.endpoint_url.clone(),
    }
}

/// What is settled before the target is looked up.
pub(super) struct Start {
    pub(super) limits: Limits,
    signer: Signer,
}

impl Start {
    pub(super) fn new(common: &Common, resolved: &Resolved) -> Result<Self, Error> {
        let credentials = resolved.sdk_config.credentials_provider();
        let credentials = credentials.ok_or(Error::NoCredentials)?;
        // Refused here, before a session is started.
        resolved.stream_endpoint()?;
        let signer = Signer::new(credentials, resolved.region.clone());
        Ok(Self {
            limits: common.limits()?,
            signer: match common.unsigned_start {
                true => signer.skip_first(),
                false => signer,
            },
        })
    }

    pub(super) async fn tunnel(
        self,
        resolved: Resolved,
        api: Arc<dyn SessionApi<Error = Arc<ServiceError>>>,
        bound: Bound,
        on_session_end: OnSessionEnd,
        destination: Destination,
    ) -> Result<Tunnel, Error> {
        let mut config = RelayConfig::default();
        config.limits = self.limits;
        config.endpoint = resolved.stream_endpoint()?;
        config.signer = Some(self.signer);
        config.proxy = resolved.proxy.inner().clone();
        config.ca_bundle = resolved.ca_bundle.map(|bundle| bundle.inner().clone());
        config.on_session_end = on_session_end;
        match Relay::open(config, api, bound.listener).await {
            Ok(relay) => Ok(Tunnel::new(relay, bound.address, destination)),
            Err(error) => Err(Error::from_open(error)),
        }
    }
}

/// An error about a target that is not connected, with its state.
pub(super) async fn explained(error: Error, nodes: &Nodes, patience: Duration) -> Error {
    let Error::Service(service) = &error else {
        return error;
    };
    let ServiceError::TargetNotConnected {
        target, request_id, ..
    } = &**service
    else {
        return error;
    };
    let state = lookup::ask_state(nodes, target, patience).await;
    ServiceError::TargetNotConnected {
        target: target.clone(),
        state,
        request_id: request_id.clone(),
    }
    .into()
}
