//! What Systems Manager knows about a machine.

#[cfg(feature = "inventory")]
mod open_session;
mod state;

use std::fmt;
use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::{Serialize, Serializer};

#[cfg(feature = "inventory")]
pub use open_session::OpenSession;
pub use state::TargetState;

/// A managed node: an EC2 instance, or another machine, whose agent has registered with Systems
/// Manager (DescribeInstanceInformation). What the service did not report is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ManagedNode {
    /// `i-…` or `mi-…`.
    pub id: String,
    /// The `Name` tag it was found by, or the name that it was registered with (`mi-…` only).
    pub name: Option<String>,
    /// The host name that its agent reported, with its domain if it has one.
    pub computer_name: Option<String>,
    /// The address that its agent reported.
    pub ip_address: Option<String>,
    /// `Online`, or `ConnectionLost`.
    pub ping_status: Option<String>,
    /// When its agent last reported.
    #[serde(serialize_with = "as_text")]
    pub last_ping: Option<SystemTime>,
    /// The agent's version: four numbers.
    pub agent_version: Option<String>,
    /// `Windows`, `Linux` or `MacOS`.
    pub platform_type: Option<String>,
    /// Such as `Microsoft Windows Server 2022 Datacenter`.
    pub platform_name: Option<String>,
}

impl ManagedNode {
    /// Whether its agent reports to Systems Manager.
    pub fn is_online(&self) -> bool {
        self.ping_status.as_deref() == Some("Online")
    }

    /// All known properties except the id.
    pub(crate) fn properties(&self) -> String {
        let agent = self.agent_version.as_ref().map(|it| format!("agent {it}"));
        let parts = [
            self.name.clone(),
            self.computer_name.clone(),
            self.ip_address.clone(),
            self.platform_name.clone().or(self.platform_type.clone()),
            agent,
            self.ping_status.clone(),
        ];
        let known: Vec<_> = parts.into_iter().flatten().collect();
        known.join(", ")
    }
}

/// One line: id, name, computer name, address, platform, agent, status.
impl fmt::Display for ManagedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.properties())
    }
}

/// `2026-11-24T12:00:00Z`.
pub(crate) fn utc(time: SystemTime) -> String {
    let seconds = DateTime::from(time).secs();
    DateTime::from_secs(seconds)
        .fmt(Format::DateTime)
        .unwrap_or_default()
}

fn as_text<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(utc).serialize(serializer)
}

#[cfg(test)]
pub(crate) fn example(id: &str, status: &str) -> ManagedNode {
    ManagedNode {
        id: id.to_owned(),
        name: None,
        computer_name: Some("WIN-1.corp.example".to_owned()),
        ip_address: Some("10.0.0.5".to_owned()),
        ping_status: Some(status.to_owned()),
        last_ping: Some(SystemTime::UNIX_EPOCH),
        agent_version: Some("3.3.4851.0".to_owned()),
        platform_type: Some("Windows".to_owned()),
        platform_name: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_display_known_properties_without_gaps() {
        let mut node = example("i-0a", "Online");
        assert_eq!(
            node.to_string(),
            "i-0a: WIN-1.corp.example, 10.0.0.5, Windows, agent 3.3.4851.0, Online"
        );
        node.computer_name = None;
        node.name = Some("my-box".to_owned());
        assert_eq!(
            node.to_string(),
            "i-0a: my-box, 10.0.0.5, Windows, agent 3.3.4851.0, Online"
        );
    }

    #[test]
    fn times_are_serialized_in_utc() {
        let json = serde_json::to_value(example("i-0a", "Online")).expect("serializable");
        assert_eq!(json["last_ping"], "1970-01-01T00:00:00Z");
    }
}
