//! The target: whether it is known, online, recent and connected. `session.rs` checks permission.

use super::denied::{remedy, unasked};
use super::examination::Examination;
use super::report::{Check, CheckName};
use crate::aws::nodes::Nodes;
use crate::error::{Denial, Error, ServiceError, TargetError};
use crate::lookup;
use crate::node::{ManagedNode, utc};
use crate::settings::{Document, REMOTE_HOST, check};

/// The first agent with port forwarding (release notes of amazon-ssm-agent).
const PORT_FORWARDING: [u32; 4] = [2, 3, 672, 0];
/// The first with remote hosts (Systems Manager User Guide, "Starting a session (port forwarding to
/// remote host)").
const REMOTE_HOSTS: [u32; 4] = [3, 1, 1374, 0];
/// Up to here each connection takes a session of its own (`ssm-protocol`, `Capabilities`).
const NO_MULTIPLEXING: [u32; 4] = [3, 0, 196, 0];
/// What an instance needs in order to register.
const REGISTRATION: &str = "check the id and the region; that it runs, and its SSM agent too; that its instance profile allows it (AmazonSSMManagedInstanceCore); and that it reaches ssm, ssmmessages and ec2messages on port 443: public, or VPC endpoints whose security group lets it in";

/// What the checks of a target found.
#[derive(Default)]
pub(super) struct Target {
    pub(super) checks: Vec<Check>,
    /// Whether a session to it is permitted.
    pub(super) permission: Permission,
    /// The data channel's URL that StartSession reported.
    pub(super) stream_url: Option<String>,
}

/// Whether a session is permitted, as StartSession's answer shows.
#[derive(Default)]
pub(super) enum Permission {
    /// Not known.
    #[default]
    Unknown,
    /// StartSession was not denied.
    Allowed,
    /// StartSession, or a call that must precede it, was denied.
    Denied(Denial),
}

impl Examination {
    pub(super) async fn examine_target(&self, nodes: &Nodes) -> Target {
        let Some(text) = &self.target else {
            return Target::default();
        };
        if let Err(error) = check::target(text) {
            return nowhere(Check::fail(CheckName::Instance, error.to_string()));
        }
        let (id, node) = if lookup::is_id(text) {
            (text.clone(), None)
        } else {
            match self.in_time(lookup::find(nodes, text)).await {
                Some(Ok(node)) => (node.id.clone(), Some(node)),
                Some(Err(Error::Target(TargetError::Offline { mut nodes, .. })))
                    if nodes.len() == 1 =>
                {
                    let node = nodes.remove(0);
                    (node.id.clone(), Some(node))
                }
                Some(Err(error)) => return not_found(&error),
                None => {
                    let text =
                        format!("{text:?} could not be looked up within {:?}", self.deadline);
                    return nowhere(Check::unknown(CheckName::Instance, text));
                }
            }
        };
        let ((instance, agent), data_channel, started) = tokio::join!(
            self.instance(nodes, &id, node),
            self.data_channel(nodes, &id),
            self.session(&id)
        );
        let stream_url = match &started {
            Some(Ok(started)) => Some(started.stream_url.clone()),
            _ => None,
        };
        let session = self.session_check(&id, &started);
        let permission = match started {
            Some(Ok(_) | Err(ServiceError::TargetNotConnected { .. })) => Permission::Allowed,
            Some(Err(error)) => error
                .denial()
                .map_or(Permission::Unknown, Permission::Denied),
            None => Permission::Unknown,
        };
        Target {
            checks: vec![instance, agent, data_channel, session],
            permission,
            stream_url,
        }
    }

    async fn instance(&self, nodes: &Nodes, id: &str, node: Option<ManagedNode>) -> (Check, Check) {
        const NAME: CheckName = CheckName::Instance;
        let no_agent = |why: &str| Check::unknown(CheckName::Agent, why);
        if id.starts_with("ecs:") {
            let why = "a container is not a managed node: Systems Manager reports nothing about it";
            return (Check::unknown(NAME, why), no_agent(why));
        }
        let found = match node {
            Some(node) => Ok(Some(node)),
            None => match self.in_time(nodes.by_id(id)).await {
                Some(found) => found,
                None => Err(ServiceError::Timeout {
                    action: "DescribeInstanceInformation",
                }),
            },
        };
        match found {
            Ok(Some(node)) => (instance_check(&node), agent_check(&self.document, &node)),
            Ok(None) => {
                let text = format!("{id} has not registered in {}", nodes.region());
                let check = Check::fail(NAME, text).next(REGISTRATION);
                (
                    check.detail("id", id),
                    no_agent("its instance is not known"),
                )
            }
            Err(error) => (
                unasked(NAME, &error, "*"),
                no_agent("DescribeInstanceInformation reports its version"),
            ),
        }
    }

    async fn data_channel(&self, nodes: &Nodes, id: &str) -> Check {
        const NAME: CheckName = CheckName::DataChannel;
        let connected = match self.in_time(nodes.is_connected(id)).await {
            Some(connected) => connected,
            None => Err(ServiceError::Timeout {
                action: "GetConnectionStatus",
            }),
        };
        match connected {
            Ok(true) => Check::pass(NAME, "its agent is connected for sessions"),
            Ok(false) => Check::fail(NAME, "its agent is not connected for sessions").next(
                "if it is online, it does not reach ssmmessages: let port 443 out to it from the instance (a VPC endpoint's security group must let it in), and check that its role has the ssmmessages permissions of AmazonSSMManagedInstanceCore; then restart the agent",
            ),
            Err(error) => unasked(NAME, &error, "the target's ARN"),
        }
        .detail("target", id)
    }
}

fn agent_check(document: &Document, node: &ManagedNode) -> Check {
    const NAME: CheckName = CheckName::Agent;
    let Some(version) = &node.agent_version else {
        return Check::unknown(NAME, "Systems Manager does not report its version");
    };
    let update = "update it: the command document AWS-UpdateSSMAgent, or an association of it";
    let dotted = |numbers: [u32; 4]| numbers.map(|it| it.to_string()).join(".");
    let too_old = |least: [u32; 4], what: &str| {
        Check::fail(
            NAME,
            format!(
                "version {version} is too old: {what} takes at least {}",
                dotted(least)
            ),
        )
        .next(update)
    };
    let remote = document.named_host().is_some() || document.name() == REMOTE_HOST;
    let check = match numbers(version) {
        None => Check::unknown(NAME, format!("invalid version {version:?}")),
        Some(it) if it < PORT_FORWARDING => too_old(PORT_FORWARDING, "port forwarding"),
        Some(it) if remote && it < REMOTE_HOSTS => too_old(REMOTE_HOSTS, "a remote host"),
        Some(it) if it <= NO_MULTIPLEXING => Check::pass(
            NAME,
            format!(
                "version {version}; up to {} each connection takes a session of its own",
                dotted(NO_MULTIPLEXING)
            ),
        )
        .next(update),
        Some(_) => Check::pass(NAME, format!("version {version}")),
    };
    check.detail("agent_version", version)
}

fn instance_check(node: &ManagedNode) -> Check {
    const NAME: CheckName = CheckName::Instance;
    let check = if node.is_online() {
        Check::pass(NAME, node.to_string())
    } else {
        let heard = node.last_ping.map(utc);
        let heard = heard.map_or_else(String::new, |at| format!(" since {at}"));
        Check::fail(NAME, format!("its agent has not reported{heard}\n{node}")).next(
            "start the machine, or its SSM agent; if both run, check that it reaches ssm, ssmmessages and ec2messages on port 443, and that its instance profile still allows it (AmazonSSMManagedInstanceCore)",
        )
    };
    check.detail("node", node)
}

/// Without a target the other checks of it are unknown.
fn nowhere(instance: Check) -> Target {
    let why = "the target is not known";
    let unknown = [CheckName::Agent, CheckName::DataChannel, CheckName::Session]
        .map(|name| Check::unknown(name, why));
    Target {
        checks: [instance].into_iter().chain(unknown).collect(),
        ..Target::default()
    }
}

/// A name that could not be looked up.
fn not_found(error: &Error) -> Target {
    const NAME: CheckName = CheckName::Instance;
    let Error::Service(error) = error else {
        return nowhere(Check::fail(NAME, error.to_string()));
    };
    let Some(denial) = error.denial() else {
        return nowhere(Check::unknown(NAME, error.to_string()));
    };
    let action = "ssm:DescribeInstanceInformation";
    let check = Check::fail(
        NAME,
        format!("a name takes DescribeInstanceInformation, which was denied, {denial}"),
    )
    .next(format!(
        "give the id; or {}",
        remedy(&denial, action, "all resources", &["*".to_owned()])
    ))
    .detail("denial", &denial);
    Target {
        permission: Permission::Denied(denial),
        ..nowhere(check)
    }
}

/// A version's four numbers.
fn numbers(version: &str) -> Option<[u32; 4]> {
    let numbers: Vec<u32> = version
        .split('.')
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::example;

    #[test]
    fn agent_versions_are_compared_number_by_number() {
        let document = |remote: bool| Document {
            remote_host: remote.then(|| "db".to_owned()),
            ..Document::default()
        };
        for (version, host, expected, words) in [
            ("3.3.4851.0", true, "pass", "version 3.3.4851.0"),
            ("3.0.196.0", false, "pass", "a session of its own"),
            ("3.0.197.0", false, "pass", "version 3.0.197.0"),
            (
                "3.1.1373.0",
                true,
                "FAIL",
                "a remote host takes at least 3.1.1374.0",
            ),
            ("3.1.1373.0", false, "pass", "version"),
            (
                "2.3.671.0",
                false,
                "FAIL",
                "port forwarding takes at least 2.3.672.0",
            ),
            ("2.3.1000.0", false, "pass", "a session of its own"),
            ("nightly", false, "unknown", "invalid version"),
        ] {
            let mut node = example("i-0a", "Online");
            node.agent_version = Some(version.to_owned());
            let check = agent_check(&document(host), &node);
            assert_eq!(check.status.to_string(), expected, "{version}: {check}");
            assert!(check.meaning.contains(words), "{version}: {check}");
        }
    }
}
