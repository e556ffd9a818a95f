//! The managed node behind a name or address.

use std::net::IpAddr;
use std::time::Duration;

use crate::aws::nodes::{Listing, Nodes};
use crate::error::{Error, ServiceError, TargetError};
use crate::node::ManagedNode;

/// Time allowed for the whole search: a page takes well under a second.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of characters of a tag's value (Tagging AWS Resources User Guide, "Tag naming limits").
const LONGEST_TAG: usize = 256;

/// Looks up the managed node that a name or address means.
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

/// By Name tag, which the service looks up itself; if no node has it, among all nodes it lists.
async fn search(nodes: &Nodes, text: &str) -> Result<ManagedNode, Error> {
    let is_address = text.parse::<IpAddr>().is_ok();
    if !is_address && text.chars().count() <= LONGEST_TAG {
        match nodes.tagged(text).await {
            Ok(found) if !found.nodes.is_empty() => return choose(text, found.nodes),
            // A text that is invalid as a tag's value is no node's tag.
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
        // A further page may list another node of the same name.
        (_, false) => Err(TargetError::TooMany {
            text: text.to_owned(),
            looked_at,
        }
        .into()),
    }
}

/// Host names are compared without regard to case, with or without their domain.
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

/// The one that is online: a replaced machine stays listed for a while.
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
    fn nodes_match_by_host_name_domain_optional_and_by_address() {
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
    fn the_only_online_node_is_chosen_else_all_are_listed() {
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
