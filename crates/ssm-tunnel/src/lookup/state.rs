//! Asks for the state of a target that is not connected.

use std::time::Duration;

use super::id::is_id;
use crate::aws::nodes::Nodes;
use crate::node::TargetState;

/// What Systems Manager reports about a target; `None` when the answer does not arrive in time, or
/// takes permissions that the caller lacks.
pub(crate) async fn ask(nodes: &Nodes, target: &str, timeout: Duration) -> Option<TargetState> {
    // A container is not a managed node.
    if !is_id(target) || target.starts_with("ecs:") {
        return None;
    }
    let asking = async {
        let (node, connected) = tokio::join!(nodes.by_id(target), nodes.is_connected(target));
        Some(match node.ok()? {
            Some(node) => TargetState::Registered {
                node: Box::new(node),
                connected: connected.ok(),
            },
            None => TargetState::Unregistered {
                region: nodes.region().to_owned(),
            },
        })
    };
    tokio::time::timeout(timeout, asking).await.ok()?
}
