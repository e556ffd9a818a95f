//! What Systems Manager reports about managed nodes: DescribeInstanceInformation and
//! GetConnectionStatus.

use std::time::SystemTime;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{InstanceInformation, InstanceInformationStringFilter};

use super::Access;
use super::call::{Call, client};
use crate::error::ServiceError;
use crate::node::ManagedNode;

const DESCRIBE: &str = "DescribeInstanceInformation";
const STATUS: &str = "GetConnectionStatus";
/// Maximum number of items of a page (API Reference, DescribeInstanceInformation).
const PAGE: i32 = 50;
/// 5000 nodes: with more than that, a lookup by listing takes too long.
const MAX_PAGES: usize = 100;

/// The two calls, in one region.
pub(crate) struct Nodes {
    access: Access,
    client: Client,
    region: String,
}

/// Managed nodes, and whether these are all.
pub(crate) struct Listing {
    pub(crate) nodes: Vec<ManagedNode>,
    pub(crate) complete: bool,
}

impl Nodes {
    pub(crate) fn new(access: Access) -> Self {
        let region = access.sdk_config.region().map(ToString::to_string);
        Self {
            client: client(&access),
            region: region.unwrap_or_default(),
            access,
        }
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Those with this `Name` tag.
    pub(crate) async fn tagged(&self, name: &str) -> Result<Listing, ServiceError> {
        let mut listing = self.list("tag:Name", Some(name)).await?;
        for node in &mut listing.nodes {
            node.name = Some(name.to_owned());
        }
        Ok(listing)
    }

    /// All of them, up to [`MAX_PAGES`] pages.
    pub(crate) async fn all(&self) -> Result<Listing, ServiceError> {
        self.list("", None).await
    }

    /// The one with this id, if it has registered with Systems Manager.
    pub(crate) async fn by_id(&self, id: &str) -> Result<Option<ManagedNode>, ServiceError> {
        match self.list("InstanceIds", Some(id)).await {
            Ok(listing) => Ok(listing.nodes.into_iter().find(|node| node.id == id)),
            // The answer for an id that is invalid or belongs to another account (API Reference).
            Err(ServiceError::TargetNotConnected { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, key: &str, value: Option<&str>) -> Result<Listing, ServiceError> {
        let target = value.unwrap_or_default();
        let filter = value.and_then(|value| {
            let filter = InstanceInformationStringFilter::builder();
            filter.key(key).values(value).build().ok()
        });
        let mut nodes = Vec::new();
        let mut token = None::<String>;
        for _ in 0..MAX_PAGES {
            let call = self
                .client
                .describe_instance_information()
                .set_filters(filter.clone().map(|filter| vec![filter]))
                .max_results(PAGE)
                .set_next_token(token.clone());
            let answer = self.about(DESCRIBE, target).answer(call.send()).await?;
            let next = answer.next_token().filter(|next| !next.is_empty());
            let next = next.map(str::to_owned);
            let list = answer.instance_information_list.unwrap_or_default();
            nodes.extend(list.into_iter().filter_map(node));
            // A repeated token would make this an endless loop.
            if next.is_none() || next == token {
                return Ok(Listing {
                    nodes,
                    complete: next.is_none(),
                });
            }
            token = next;
        }
        Ok(Listing {
            nodes,
            complete: false,
        })
    }

    fn about<'a>(&'a self, action: &'static str, target: &'a str) -> Call<'a> {
        Call {
            action,
            access: &self.access,
            target,
            document: "",
        }
    }

    /// Whether the target's agent is connected for sessions. The service does not distinguish an
    /// unknown target from one that is off.
    pub(crate) async fn is_connected(&self, target: &str) -> Result<bool, ServiceError> {
        let call = self.client.get_connection_status().target(target);
        let answer = self.about(STATUS, target).answer(call.send()).await?;
        let status = answer.status().ok_or(ServiceError::Unreadable {
            action: STATUS,
            request_id: None,
        })?;
        Ok(status.as_str().eq_ignore_ascii_case("connected"))
    }
}

/// `None` for an answer without an id.
fn node(information: InstanceInformation) -> Option<ManagedNode> {
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    Some(ManagedNode {
        id: text(information.instance_id)?,
        name: text(information.name),
        computer_name: text(information.computer_name),
        ip_address: text(information.ip_address),
        ping_status: information.ping_status.map(|it| it.as_str().to_owned()),
        last_ping: information
            .last_ping_date_time
            .and_then(|at| SystemTime::try_from(at).ok()),
        agent_version: text(information.agent_version),
        platform_type: information.platform_type.map(|it| it.as_str().to_owned()),
        platform_name: text(information.platform_name),
    })
}
