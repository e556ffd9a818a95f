//! What Systems Manager knows about a target that is not connected.

use std::fmt;

use super::{ManagedNode, utc};

/// What Systems Manager reports about a target, as far as the caller's permissions allow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetState {
    /// No managed node with this id has registered in the region.
    Unregistered {
        /// The region.
        region: String,
    },
    /// A managed node with this id has registered.
    Registered {
        /// What Systems Manager knows about it.
        node: Box<ManagedNode>,
        /// Whether its agent is connected for sessions; `None` where the caller may not ask.
        connected: Option<bool>,
    },
}

/// A sentence.
impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, connected) = match self {
            Self::Unregistered { region } => {
                return write!(f, "no managed node with that id has registered in {region}");
            }
            Self::Registered { node, connected } => (node, connected),
        };
        match (node.is_online(), connected) {
            (false, _) => {
                let heard = node.last_ping.map(utc);
                let heard = heard.map_or_else(String::new, |at| format!(" since {at}"));
                write!(f, "its agent has not reported{heard}")?;
            }
            (true, Some(true)) => f.write_str("its agent is connected now: try again")?,
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
    fn every_state_has_its_own_sentence() {
        let state = |status: &str, connected| TargetState::Registered {
            node: Box::new(example("i-0a", status)),
            connected,
        };
        for (state, words) in [
            (
                state("ConnectionLost", Some(false)),
                "not reported since 1970-01-01T00:00:00Z (WIN-1.corp.example, 10.0.0.5",
            ),
            (state("Online", Some(false)), "does not reach ssmmessages"),
            (state("Online", Some(true)), "try again"),
            (state("Online", None), "does not reach ssmmessages"),
            (
                TargetState::Unregistered {
                    region: "eu-west-1".to_owned(),
                },
                "no managed node with that id has registered in eu-west-1",
            ),
        ] {
            assert!(state.to_string().contains(words), "{state}");
        }
    }
}
