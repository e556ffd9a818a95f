//! The session document and its parameters.

use std::collections::BTreeMap;

use super::{check, remote_host};
use crate::error::Error;

/// `portNumber` and `localPortNumber` on the target itself.
pub(crate) const PORT: &str = "AWS-StartPortForwardingSession";
/// The same, and `host` as the target resolves it.
pub(crate) const REMOTE_HOST: &str = "AWS-StartPortForwardingSessionToRemoteHost";

/// What a session is started for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document {
    /// The port to reach.
    pub(crate) remote_port: Option<u16>,
    /// The host to reach from the target.
    pub(crate) remote_host: Option<String>,
    /// Instead of AWS's own document.
    pub(crate) name: Option<String>,
    /// Parameters that replace those of the same name.
    pub(crate) parameters: BTreeMap<String, Vec<String>>,
}

impl Document {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(name) = &self.name {
            check::document_name(name)?;
        }
        let custom = self
            .name
            .as_deref()
            .is_some_and(|name| !name.starts_with("AWS-"));
        let required = !custom && !self.parameters.contains_key("portNumber");
        check::remote_port(self.remote_port, required)?;
        match &self.remote_host {
            Some(host) => remote_host::check(host),
            None => Ok(()),
        }
    }

    /// The name of the session document.
    pub(crate) fn name(&self) -> &str {
        let standard = match self.named_host() {
            Some(_) => REMOTE_HOST,
            None => PORT,
        };
        self.name.as_deref().unwrap_or(standard)
    }

    /// The host that the session names; `None` for the target itself.
    pub(crate) fn named_host(&self) -> Option<&str> {
        remote_host::named(self.remote_host.as_deref(), self.name.as_deref())
    }

    /// The document's parameters, for a tunnel that listens on this local port.
    pub(crate) fn parameters(&self, local_port: Option<u16>) -> BTreeMap<String, Vec<String>> {
        let name = self.name.as_deref();
        let takes_local_port = name.is_none_or(|name| name == PORT || name == REMOTE_HOST);
        let local_port = local_port.filter(|_| takes_local_port);
        let standard = [
            ("portNumber", self.remote_port.map(|port| port.to_string())),
            ("localPortNumber", local_port.map(|port| port.to_string())),
            ("host", self.named_host().map(str::to_owned)),
        ];
        let mut parameters: BTreeMap<_, _> = standard
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), vec![value?])))
            .collect();
        parameters.extend(self.parameters.clone());
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str) -> Document {
        Document {
            remote_port: Some(22),
            remote_host: Some(host.to_owned()),
            ..Document::default()
        }
    }

    #[test]
    fn documents_follow_from_the_remote_host() {
        let here = to("localhost");
        assert_eq!((here.name(), here.named_host()), (PORT, None));
        let there = to("db");
        assert_eq!(
            (there.name(), there.named_host()),
            (REMOTE_HOST, Some("db"))
        );
        let custom = Document {
            name: Some("Mine".to_owned()),
            ..to("localhost")
        };
        assert_eq!(
            (custom.name(), custom.named_host()),
            ("Mine", Some("localhost"))
        );
    }

    #[test]
    fn custom_documents_get_no_local_port() {
        let standard = to("db").parameters(Some(1));
        assert_eq!(standard["localPortNumber"], ["1"]);
        assert!(!to("db").parameters(None).contains_key("localPortNumber"));
        let custom = Document {
            name: Some("Mine".to_owned()),
            ..to("db")
        };
        assert!(!custom.parameters(Some(1)).contains_key("localPortNumber"));
    }

    #[test]
    fn explicit_parameters_replace_derived_ones() {
        let mut document = to("db");
        let value = vec!["23".to_owned()];
        document.parameters.insert("portNumber".to_owned(), value);
        assert_eq!(document.parameters(None)["portNumber"], ["23"]);
    }
}
