//! Names and addresses that lead to no target.

use thiserror::Error;

use crate::node::ManagedNode;

/// Why a name or address leads to no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No managed node has that name or address.
    #[error(
        "no managed node in {region} has the id, Name tag, computer name or private IP {text:?}; {looked_at} are registered there: check the spelling (names and tags exactly as they are written) and the region, that the machine runs, that its SSM agent runs, that its instance profile allows it (AmazonSSMManagedInstanceCore), and that it reaches the endpoints ssm, ssmmessages and ec2messages"
    )]
    NotFound {
        /// The name or address that was looked up.
        text: String,
        /// The region that was searched.
        region: String,
        /// Number of managed nodes in that region.
        looked_at: usize,
    },
    /// Several nodes of that name or address are online.
    #[error(
        "{text:?} is the name or address of {} managed nodes that are online: give the id of the one that is meant{}",
        online(nodes),
        list(nodes)
    )]
    Ambiguous {
        /// The name or address that was looked up.
        text: String,
        /// All that were found, including those that are not online.
        nodes: Vec<ManagedNode>,
    },
    /// The nodes of that name or address are not online.
    #[error(
        "{text:?} is known to Systems Manager, but not online: start the machine or its SSM agent, and check that it reaches the endpoints ssm, ssmmessages and ec2messages{}",
        list(nodes)
    )]
    Offline {
        /// The name or address that was looked up.
        text: String,
        /// All that were found.
        nodes: Vec<ManagedNode>,
    },
    /// The region has too many managed nodes to look at each.
    #[error(
        "none of the first {looked_at} managed nodes has the computer name or private IP {text:?}, and there are more than are looked at: give the id, or the Name tag, which Systems Manager looks up itself"
    )]
    TooMany {
        /// The name or address that was looked up.
        text: String,
        /// Number of nodes that were looked at.
        looked_at: usize,
    },
    /// The lookup did not finish in time.
    #[error("{text:?} could not be looked up in time: check the network, or give the id")]
    Timeout {
        /// The name or address that was looked up.
        text: String,
    },
}

fn online(nodes: &[ManagedNode]) -> usize {
    nodes.iter().filter(|node| node.is_online()).count()
}

fn list(nodes: &[ManagedNode]) -> String {
    nodes.iter().map(|node| format!("\n  {node}")).collect()
}
