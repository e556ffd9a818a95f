//! What is known of a target that cannot be reached.

use std::fmt;
use std::time::Duration;

use crate::aws::nodes::Nodes;
use crate::node::{ManagedNode, utc};
use crate::target;

/// What Systems Manager tells of a target, as far as the caller may ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetState {
    /// No managed node of that id has registered in this region.
    Unregistered {
        /// The region.
        region: String,
    },
    /// It has.
    Registered {
        /// What is known of it.
        node: Box<ManagedNode>,
        /// Whether its agent can be reached for sessions, where that may be asked.
        connected: Option<bool>,
    },
}

impl TargetState {
    /// Asks for it; `None` when it is not to be had in time, or only with permissions that are
    /// missing.
    pub(crate) async fn ask(nodes: &Nodes, target: &str, timeout: Duration) -> Option<Self> {
        // A container is no managed node.
        if !target::is_id(target) || target.starts_with("ecs:") {
            return None;
        }
        let asking = async {
            let (node, connected) = tokio::join!(nodes.by_id(target), nodes.is_connected(target));
            Some(match node.ok()? {
                Some(node) => Self::Registered {
                    node: Box::new(node),
                    connected: connected.ok(),
                },
                None => Self::Unregistered {
                    region: nodes.region().to_owned(),
                },
            })
        };
        tokio::time::timeout(timeout, asking).await.ok()?
    }
}

/// A sentence.
impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, connected) = match self {
            Self::Unregistered { region } => {
                return write!(f, "no managed node of that id has registered in {region}");
            }
            Self::Registered { node, connected } => (node, connected),
        };
        match (node.is_online(), connected) {
            (false, _) => {
                let heard = node.last_ping.map(utc);
                let heard = heard.map_or_else(String::new, |at| format!(" since {at}"));
                write!(f, "its agent has not been heard of{heard}")?;
            }
            (true, Some(true)) => f.write_str("its agent is connected by now: try again")?,
            (true, _) => f.write_str(
                "its agent is online, but not connected for sessions: it does not reach ssmmessages, or its role lacks the ssmmessages permissions of AmazonSSMManagedInstanceCore",
            )?,
        }
        write!(f, " ({})", node.properties())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::example;

    #[test]
    fn each_state_is_a_sentence_of_its_own() {
        let state = |status: &str, connected| TargetState::Registered {
            node: Box::new(example("i-0a", status)),
            connected,
        };
        for (state, words) in [
            (
                state("ConnectionLost", Some(false)),
                "not been heard of since 1970-01-01T00:00:00Z (WIN-1.corp.example, 10.0.0.5",
            ),
            (state("Online", Some(false)), "does not reach ssmmessages"),
            (state("Online", Some(true)), "try again"),
            (state("Online", None), "does not reach ssmmessages"),
            (
                TargetState::Unregistered {
                    region: "eu-west-1".to_owned(),
                },
                "no managed node of that id has registered in eu-west-1",
            ),
        ] {
            assert!(state.to_string().contains(words), "{state}");
        }
    }
}
