//! What an agent can do, by its version.

use std::time::Duration;

use crate::payload::SessionProperties;

/// The first agent that processes a message before it acknowledges it (`RELEASENOTES.md` of
/// `aws/amazon-ssm-agent`).
const PROCESSES_FIRST: [u32; 4] = [3, 0, 655, 0];

/// What the agent can do, derived from its version by the reference client's rules.
///
/// Source: `aws/session-manager-plugin` `src/version/versionutil` and
/// `src/sessionmanagerplugin/session/portsession` @61cf1288.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Connections share the session through smux: agents above 3.0.196.0, with documents whose `type`
    /// is `LocalPortForwarding`.
    pub multiplexing: bool,
    /// Both sides send smux keep-alives and end a session that receives none: agents up to
    /// 3.1.1511.0.
    pub smux_keepalive: bool,
    /// The agent understands [`Flag::TerminateSession`](crate::payload::Flag::TerminateSession):
    /// agents above 2.3.722.0.
    pub terminate_flag: bool,
    /// The agent acknowledges duplicates: agents from 3.2.1041.0 on. Older ones discard a duplicate
    /// silently (`agent/session/datachannel/datachannel.go` of
    /// `aws/amazon-ssm-agent` @b0e8d778).
    pub acknowledges_duplicates: bool,
    /// The agent processes a message before it acknowledges and counts it, and so processes it again
    /// when its own websocket breaks in between: agents from 3.0.655.0 on. Older ones acknowledge and
    /// count first (`agent/session/datachannel/datachannel.go` of
    /// `aws/amazon-ssm-agent` @677437f6).
    pub processes_before_counting: bool,
}

impl Capabilities {
    /// Capabilities of an agent of this version, in a session with these properties. An unparsable
    /// version counts as the oldest.
    pub fn of(agent_version: &str, properties: &SessionProperties) -> Self {
        let version = parse(agent_version).unwrap_or_default();
        Self {
            multiplexing: version > [3, 0, 196, 0] && properties.is_local_port_forwarding(),
            smux_keepalive: version <= [3, 1, 1511, 0],
            terminate_flag: version > [2, 3, 722, 0],
            acknowledges_duplicates: version >= [3, 2, 1041, 0],
            processes_before_counting: version >= PROCESSES_FIRST,
        }
    }
}

/// How long after HandshakeComplete an agent may still acknowledge data and discard it.
///
/// The agent sends HandshakeComplete before it updates its own state; data that arrives in between
/// counts as early (`agent/session/datachannel/datachannel.go` of `aws/amazon-ssm-agent` @1c217c89,
/// measured on loopback: a waiting connection was lost in 1 of 20 starts). Agents before 3.0.655.0
/// discard data until they have connected their port (@677437f6; 8 of 20).
pub(crate) fn settling_time(agent_version: &str) -> Duration {
    if parse(agent_version).unwrap_or_default() < PROCESSES_FIRST {
        Duration::from_millis(250)
    } else {
        Duration::from_millis(25)
    }
}

/// Parses up to four numbers; missing ones are zero.
fn parse(version: &str) -> Option<[u32; 4]> {
    let mut numbers = [0; 4];
    let mut parts = version.trim().split('.');
    for (number, part) in numbers.iter_mut().zip(&mut parts) {
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_before_3_0_655_get_more_time_to_settle() {
        for (version, millis) in [
            ("3.3.1142.0", 25),
            ("3.0.655.0", 25),
            ("3.0.603.0", 250),
            ("2.3.50.0", 250),
            ("nightly", 250),
        ] {
            assert_eq!(settling_time(version), Duration::from_millis(millis));
        }
    }

    #[test]
    fn agents_are_judged_number_by_number() {
        let port: SessionProperties = [("type", "LocalPortForwarding")].into_iter().collect();
        let ssh: SessionProperties = [("portNumber", "22")].into_iter().collect();
        for (
            version,
            properties,
            multiplexing,
            smux_keepalive,
            terminate_flag,
            duplicates,
            first,
        ) in [
            ("3.3.1142.0", &port, true, false, true, true, true),
            ("3.3.1142.0", &ssh, false, false, true, true, true),
            ("3.2.1041.0", &port, true, false, true, true, true),
            ("3.2.1040.9", &port, true, false, true, false, true),
            ("3.1.1512.0", &port, true, false, true, false, true),
            ("3.1.1511.0", &port, true, true, true, false, true),
            ("3.0.196.1", &port, true, true, true, false, false),
            ("3.0.654.9", &port, true, true, true, false, false),
            ("3.0.655.0", &port, true, true, true, false, true),
            ("3.0.196.0", &port, false, true, true, false, false),
            // Text would order 1142 before 196 and 3.10 before 3.2.
            ("3.0.1142.0", &port, true, true, true, false, true),
            ("3.10.0.0", &port, true, false, true, true, true),
            ("2.3.723.0", &port, false, true, true, false, false),
            ("2.3.722.0", &port, false, true, false, false, false),
            ("nightly", &port, false, true, false, false, false),
            ("", &port, false, true, false, false, false),
            ("3.3.0.0.1", &port, false, true, false, false, false),
        ] {
            assert_eq!(
                Capabilities::of(version, properties),
                Capabilities {
                    multiplexing,
                    smux_keepalive,
                    terminate_flag,
                    acknowledges_duplicates: duplicates,
                    processes_before_counting: first,
                },
                "agent {version}"
            );
        }
    }
}
