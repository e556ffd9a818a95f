//! What Systems Manager lists: managed nodes, and the caller's open sessions.

use aws_config::SdkConfig;

use crate::aws::nodes::Nodes;
use crate::aws::sessions::Sessions;
use crate::aws::{Access, identity};
use crate::error::Error;
use crate::node::{ManagedNode, OpenSession};
use crate::settings::Settings;

/// Lists managed nodes and open sessions of one region, and ends sessions.
#[derive(Debug, Clone)]
pub struct Inventory {
    access: Access,
}

/// Managed nodes of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeList {
    /// In the service's order. Only a node that was registered with a name has one here: the service
    /// does not return tags.
    pub nodes: Vec<ManagedNode>,
    /// Whether these are all: at most 5000 are listed.
    pub complete: bool,
}

impl Inventory {
    /// For the region, credentials and endpoint of `sdk_config`.
    ///
    /// # Errors
    /// When one of them is missing or cannot work.
    pub async fn new(sdk_config: &SdkConfig) -> Result<Self, Error> {
        let settings = Settings {
            sdk_config: Some(sdk_config.clone()),
            ..Settings::default()
        };
        let resolved = settings.resolve().await?;
        if resolved.sdk_config.credentials_provider().is_none() {
            return Err(Error::NoCredentials);
        }
        Ok(Self {
            access: Access {
                sdk_config: resolved.sdk_config,
                endpoint_url: resolved.endpoint_url,
            },
        })
    }

    /// The managed nodes, with those first whose `Name` tag is exactly `tag`, if one is given.
    ///
    /// # Errors
    /// When DescribeInstanceInformation fails.
    pub async fn managed_nodes(&self, tag: Option<&str>) -> Result<NodeList, Error> {
        let nodes = Nodes::new(self.access.clone());
        let tagged = match tag {
            // A text that no tag can have is refused as a parameter.
            Some(tag) => nodes.tagged(tag).await.map_or(Vec::new(), |it| it.nodes),
            None => Vec::new(),
        };
        let all = nodes.all().await?;
        let others = all.nodes.into_iter();
        let others = others.filter(|node| tagged.iter().all(|it| it.id != node.id));
        Ok(NodeList {
            nodes: tagged.iter().cloned().chain(others).collect(),
            complete: all.complete,
        })
    }

    /// The open sessions that these credentials started, the latest first.
    ///
    /// # Errors
    /// When GetCallerIdentity or DescribeSessions fails.
    pub async fn own_sessions(&self) -> Result<Vec<OpenSession>, Error> {
        let caller = identity::caller(&self.access.sdk_config).await?;
        let sessions = Sessions::new(self.access.clone());
        Ok(sessions.active(&caller.arn).await?)
    }

    /// Terminates a session.
    ///
    /// # Errors
    /// When TerminateSession fails, also because there is no such session.
    pub async fn end_session(&self, id: &str) -> Result<(), Error> {
        Ok(Sessions::new(self.access.clone()).terminate(id).await?)
    }
}
