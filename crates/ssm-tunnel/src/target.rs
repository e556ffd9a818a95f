//! Targets by what people know of them.

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use crate::aws::nodes::{Listing, Nodes};
use crate::error::{Error, ServiceError};
use crate::node::ManagedNode;

/// How long the whole search may take: a page takes well under a second.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Most characters of a tag's value (Tagging AWS Resources User Guide, "Tag naming limits").
const LONGEST_TAG: usize = 256;

/// Why a text leads to no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Nothing goes by that name.
    #[error(
        "no managed node in {region} has the id, Name tag, computer name or private IP {text:?}; {looked_at} are registered there: check the spelling (names and tags exactly as they are written) and the region, that the machine runs, that its SSM agent runs, that its instance profile allows it (AmazonSSMManagedInstanceCore), and that it reaches the endpoints ssm, ssmmessages and ec2messages"
    )]
    NotFound {
        /// What was looked for.
        text: String,
        /// Where.
        region: String,
        /// How many managed nodes there are.
        looked_at: usize,
    },
    /// Several that are online go by that name.
    #[error(
        "{text:?} is the name or address of {} managed nodes that are online: give the id of the one that is meant{}",
        online(nodes),
        list(nodes)
    )]
    Ambiguous {
        /// What was looked for.
        text: String,
        /// All that were found, those that are not online too.
        nodes: Vec<ManagedNode>,
    },
    /// What goes by that name is not online.
    #[error(
        "{text:?} is known to Systems Manager, but not online: start the machine or its SSM agent, and check that it reaches the endpoints ssm, ssmmessages and ec2messages{}",
        list(nodes)
    )]
    Offline {
        /// What was looked for.
        text: String,
        /// All that were found.
        nodes: Vec<ManagedNode>,
    },
    /// There are too many to look at each.
    #[error(
        "none of the first {looked_at} managed nodes has the computer name or private IP {text:?}, and there are more than are looked at: give the id, or the Name tag, which Systems Manager looks up itself"
    )]
    TooMany {
        /// What was looked for.
        text: String,
        /// How many were looked at.
        looked_at: usize,
    },
    /// The answers did not come in time.
    #[error("{text:?} could not be looked up in time: check the network, or give the id")]
    Timeout {
        /// What was looked for.
        text: String,
    },
}

fn online(nodes: &[ManagedNode]) -> usize {
    nodes.iter().filter(|node| node.is_online()).count()
}

fn list(nodes: &[ManagedNode]) -> String {
    nodes.iter().map(|node| format!("\n  {node}")).collect()
}

/// Whether it is a target as StartSession takes it: `i-` or `mi-` and hexadecimal digits, or
/// `ecs:CLUSTER_TASK_RUNTIMEID`.
pub(crate) fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("mi-").or(text.strip_prefix("i-"));
    let is_hex =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.is_some_and(is_hex) || text.starts_with("ecs:")
}

/// The managed node that a text means.
pub(crate) async fn find(nodes: &Nodes, text: &str) -> Result<ManagedNode, Error> {
    let found = tokio::time::timeout(TIMEOUT, search(nodes, text)).await;
    let node = found.unwrap_or_else(|_| {
        Err(TargetError::Timeout {
            text: text.to_owned(),
        }
        .into())
    })?;
    tracing::info!(target = text, id = node.id, "found the target");
    Ok(node)
}

/// By Name tag, which the service looks up; where nothing has it, by what its list tells.
async fn search(nodes: &Nodes, text: &str) -> Result<ManagedNode, Error> {
    let is_address = text.parse::<IpAddr>().is_ok();
    if !is_address && text.chars().count() <= LONGEST_TAG {
        match nodes.tagged(text).await {
            Ok(found) if !found.nodes.is_empty() => return choose(text, found.nodes),
            // A text that no tag can have is nobody's tag.
            Ok(_) | Err(ServiceError::InvalidParameters { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let Listing {
        nodes: all,
        complete,
    } = nodes.all().await?;
    let looked_at = all.len();
    let found: Vec<_> = all.into_iter().filter(|node| goes_by(node, text)).collect();
    match (found.is_empty(), complete) {
        (false, true) => choose(text, found),
        (true, true) => Err(TargetError::NotFound {
            text: text.to_owned(),
            region: nodes.region().to_owned(),
            looked_at,
        }
        .into()),
        // Another one of the same name may come later.
        (_, false) => Err(TargetError::TooMany {
            text: text.to_owned(),
            looked_at,
        }
        .into()),
    }
}

/// Host names are the same in upper and lower case, and without their domain.
fn goes_by(node: &ManagedNode, text: &str) -> bool {
    let same_address = |address: &str| match (address.parse::<IpAddr>(), text.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    };
    let same_host = |host: &str| {
        let first = host.split('.').next().unwrap_or_default();
        host.eq_ignore_ascii_case(text) || first.eq_ignore_ascii_case(text)
    };
    node.name.as_deref() == Some(text)
        || node.ip_address.as_deref().is_some_and(same_address)
        || node.computer_name.as_deref().is_some_and(same_host)
}

/// The one that is online: a machine that was replaced stays listed for a while.
fn choose(text: &str, nodes: Vec<ManagedNode>) -> Result<ManagedNode, Error> {
    let text = text.to_owned();
    let mut online = nodes.iter().filter(|node| node.is_online());
    match (online.next(), online.next()) {
        (Some(only), None) => Ok(only.clone()),
        (Some(_), Some(_)) => Err(TargetError::Ambiguous { text, nodes }.into()),
        (None, _) => Err(TargetError::Offline { text, nodes }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::example;

    #[test]
    fn ids_are_told_from_names() {
        for id in ["i-0123456789abcdef0", "i-1", "mi-0A", "ecs:c_t_r-1"] {
            assert!(is_id(id), "{id}");
        }
        for name in [
            "i-",
            "mi-",
            "i-team",
            "web",
            "10.0.0.5",
            "I-1",
            "i-0a.corp",
            "my box",
            "",
        ] {
            assert!(!is_id(name), "{name}");
        }
    }

    #[test]
    fn a_node_goes_by_its_host_name_with_or_without_domain_and_by_its_address() {
        let mut node = example("i-0a", "Online");
        for text in ["WIN-1", "win-1", "win-1.CORP.example", "10.0.0.5"] {
            assert!(goes_by(&node, text), "{text}");
        }
        for text in ["", "WIN", "WIN-1.corp", "10.0.0.50", "10.0.0.5/32", "corp"] {
            assert!(!goes_by(&node, text), "{text}");
        }
        node.name = Some("factory".to_owned());
        assert!(goes_by(&node, "factory") && !goes_by(&node, "Factory"));
        node.ip_address = Some("fd00::5".to_owned());
        assert!(goes_by(&node, "fd00:0::5"));
    }

    #[test]
    fn the_only_one_online_is_meant_and_otherwise_all_are_listed() {
        let (one, two) = (example("i-0a", "Online"), example("i-0b", "Online"));
        let lost = example("i-0c", "ConnectionLost");
        let chosen = choose("x", vec![lost.clone(), one.clone()]).expect("one is online");
        assert_eq!(chosen, one);
        let error = choose("x", vec![one, two, lost.clone()]).expect_err("two are");
        let text = error.to_string();
        assert!(
            text.starts_with("\"x\" is the name or address of 2 managed nodes"),
            "{text}"
        );
        for id in ["i-0a", "i-0b", "i-0c", "ConnectionLost"] {
            assert!(text.contains(id), "{text}");
        }
        let error = choose("x", vec![lost]).expect_err("none is");
        assert!(error.to_string().contains("not online"), "{error}");
        assert!(
            error.to_string().contains("i-0c: WIN-1.corp.example"),
            "{error}"
        );
    }
}
