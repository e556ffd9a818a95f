//! Session documents: those of AWS, and the account's own port documents.

use std::collections::BTreeMap;

use crate::agent::SessionType;

/// The document of a session that names none.
pub(crate) const RUN_SHELL: &str = "SSM-SessionManagerRunShell";

/// A session document.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Parameters that may be given, with whether they must be.
    pub(crate) parameters: &'static [(&'static str, bool)],
    pub(crate) session_type: SessionType,
    /// Ports have the `type` property, but for the SSH document.
    pub(crate) forwarding: bool,
}

impl Document {
    /// A port document of the account's own.
    pub(crate) fn custom() -> Self {
        Self::port(&[
            ("host", false),
            ("portNumber", false),
            ("localPortNumber", false),
            ("localConnectionType", false),
            ("localUnixSocket", false),
        ])
    }

    fn port(parameters: &'static [(&'static str, bool)]) -> Self {
        Self {
            parameters,
            session_type: SessionType::Port,
            forwarding: true,
        }
    }

    fn command(session_type: SessionType) -> Self {
        Self {
            parameters: &[("command", true)],
            session_type,
            forwarding: false,
        }
    }

    pub(crate) fn standard() -> BTreeMap<String, Self> {
        let port = Self::port(&[("portNumber", false), ("localPortNumber", false)]);
        let remote = Self::port(&[
            ("host", true),
            ("portNumber", false),
            ("localPortNumber", false),
        ]);
        let ssh = Self {
            forwarding: false,
            ..Self::port(&[("portNumber", false)])
        };
        let shell = Self {
            parameters: &[],
            session_type: SessionType::StandardStream,
            forwarding: false,
        };
        [
            ("AWS-StartPortForwardingSession", port),
            ("AWS-StartPortForwardingSessionToRemoteHost", remote),
            ("AWS-StartSSHSession", ssh),
            (RUN_SHELL, shell),
            (
                "AWS-StartInteractiveCommand",
                Self::command(SessionType::InteractiveCommands),
            ),
            (
                "AWS-StartNonInteractiveCommand",
                Self::command(SessionType::NonInteractiveCommands),
            ),
        ]
        .map(|(name, document)| (name.to_owned(), document))
        .into()
    }
}
