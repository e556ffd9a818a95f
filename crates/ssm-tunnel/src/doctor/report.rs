//! The report: checks with their status, meaning and next step.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// The checks of one run, in reading order.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Each applicable check once.
    pub checks: Vec<Check>,
}

/// One thing that was examined.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// What was examined.
    #[serde(rename = "check")]
    pub name: CheckName,
    /// The result.
    pub status: Status,
    /// What was found, and what it means: a sentence, sometimes followed by a list in further lines.
    pub meaning: String,
    /// What to do next, if anything.
    pub next_step: Option<String>,
    /// The same for programs: `arn`, `agent_version`, `addresses` and so on.
    pub details: BTreeMap<&'static str, Value>,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// As a tunnel needs it.
    Pass,
    /// A tunnel cannot work this way.
    Fail,
    /// Not determined: a call was denied, or an earlier check failed.
    Unknown,
}

/// What a check examines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckName {
    /// Whether a region is set.
    Region,
    /// Whether there are credentials, and which.
    Credentials,
    /// Whose they are (GetCallerIdentity).
    Identity,
    /// Whether they are of an MFA session.
    Mfa,
    /// Whether this machine's clock agrees with AWS's.
    Clock,
    /// Whether a proxy is in between, and lets connections through.
    Proxy,
    /// Whether STS answers.
    Sts,
    /// Whether Systems Manager answers.
    Ssm,
    /// Whether the host of the data channel answers.
    Ssmmessages,
    /// Whether Systems Manager knows the target, and it is online (DescribeInstanceInformation).
    Instance,
    /// Whether its agent is recent enough.
    Agent,
    /// Whether it is connected for sessions (GetConnectionStatus).
    DataChannel,
    /// Whether a session may be started (StartSession).
    Session,
    /// Whether the local port is free.
    LocalPort,
}

impl CheckName {
    /// As in JSON: `data-channel`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Credentials => "credentials",
            Self::Identity => "identity",
            Self::Mfa => "mfa",
            Self::Clock => "clock",
            Self::Proxy => "proxy",
            Self::Sts => "sts",
            Self::Ssm => "ssm",
            Self::Ssmmessages => "ssmmessages",
            Self::Instance => "instance",
            Self::Agent => "agent",
            Self::DataChannel => "data-channel",
            Self::Session => "session",
            Self::LocalPort => "local-port",
        }
    }
}

impl Report {
    /// One of the checks.
    pub fn check(&self, name: CheckName) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Number of checks with this status.
    pub fn count(&self, status: Status) -> usize {
        let checks = self.checks.iter();
        checks.filter(|check| check.status == status).count()
    }

    /// Whether nothing failed.
    pub fn is_healthy(&self) -> bool {
        self.count(Status::Fail) == 0
    }
}

impl Check {
    pub(super) fn new(name: CheckName, status: Status, meaning: impl Into<String>) -> Self {
        Self {
            name,
            status,
            meaning: meaning.into(),
            next_step: None,
            details: BTreeMap::new(),
        }
    }

    pub(super) fn pass(name: CheckName, meaning: impl Into<String>) -> Self {
        Self::new(name, Status::Pass, meaning)
    }

    pub(super) fn fail(name: CheckName, meaning: impl Into<String>) -> Self {
        Self::new(name, Status::Fail, meaning)
    }

    pub(super) fn unknown(name: CheckName, meaning: impl Into<String>) -> Self {
        Self::new(name, Status::Unknown, meaning)
    }

    pub(super) fn next(mut self, step: impl Into<String>) -> Self {
        self.next_step = Some(step.into());
        self
    }

    pub(super) fn detail(mut self, name: &'static str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        if !value.is_null() {
            self.details.insert(name, value);
        }
        self
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Unknown => "unknown",
        })
    }
}

/// A row of the table, with the next step below it.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MARGIN: &str = "\n                       ";
        let lines = |text: &str| text.replace('\n', MARGIN);
        let (status, name) = (self.status, self.name.as_str());
        write!(f, "{status:<9}{name:<14}{}", lines(&self.meaning))?;
        match &self.next_step {
            Some(step) => write!(f, "{MARGIN}-> {}", lines(step)),
            None => Ok(()),
        }
    }
}

/// A table for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(f, "{check}")?;
        }
        write!(
            f,
            "{} passed, {} failed, {} unknown",
            self.count(Status::Pass),
            self.count(Status::Fail),
            self.count(Status::Unknown)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_names_match_in_the_table_and_in_json() {
        for name in [
            CheckName::Region,
            CheckName::DataChannel,
            CheckName::LocalPort,
        ] {
            assert_eq!(serde_json::to_value(name).expect("a name"), name.as_str());
        }
    }

    #[test]
    fn table_has_a_row_per_check_and_a_sum() {
        let report = Report {
            checks: vec![
                Check::pass(CheckName::Region, "eu-west-1").detail("nothing", None::<u8>),
                Check::fail(CheckName::LocalPort, "it is taken\nby another").next("choose another"),
            ],
        };
        assert_eq!(
            report.to_string(),
            "pass     region        eu-west-1\n\
             FAIL     local-port    it is taken\n\
             \u{20}                      by another\n\
             \u{20}                      -> choose another\n\
             1 passed, 1 failed, 0 unknown"
        );
        assert!(!report.is_healthy());
        assert!(report.checks[0].details.is_empty());
    }
}
