//! One run of the program, and its report.

use std::collections::BTreeMap;

use e2e::peers::{command, example, output, printed};
use serde_json::Value;
use ssm_sandbox::{Sandbox, SandboxBuilder};
use tokio::process::Command;

/// A password or key that no run may print.
pub(super) const SECRET: &str = "MARKER-p4ssw0rd";

/// One run's checks by name, and how it ended.
pub(super) struct Run {
    pub(super) checks: BTreeMap<String, Value>,
    /// The summary, which is the last line.
    pub(super) sum: Value,
    pub(super) code: Option<i32>,
    pub(super) all: String,
    pub(super) logged: String,
}

impl Run {
    pub(super) fn status(&self, check: &str) -> &str {
        self.checks[check]["status"].as_str().expect("a status")
    }

    /// The meaning and the next step.
    pub(super) fn words(&self, check: &str) -> String {
        let found = &self.checks[check];
        format!("{} {}", found["meaning"], found["next_step"])
    }

    /// Asserts that these checks, and no others, failed or are unknown.
    pub(super) fn expect(&self, failed: &[&str], unknown: &[&str]) {
        let with = |status: &str| -> Vec<&str> {
            let checks = self.checks.keys().map(String::as_str);
            checks.filter(|name| self.status(name) == status).collect()
        };
        let sorted = |names: &[&str]| {
            let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(
            (with("fail"), with("unknown")),
            (
                sorted(failed).iter().map(String::as_str).collect(),
                sorted(unknown).iter().map(String::as_str).collect()
            ),
            "{}",
            self.all
        );
        let healthy = failed.is_empty();
        assert_eq!(self.code, Some(i32::from(!healthy)), "{}", self.all);
        assert_eq!(self.sum["healthy"], healthy);
        for name in failed {
            // A failure says what to do, in its meaning or in the next step.
            assert!(self.words(name).len() > 60, "{}", self.words(name));
        }
    }

    pub(super) fn says(&self, check: &str, words: &[&str]) {
        for word in words {
            let said = self.words(check);
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    }
}

/// A sandbox without an MFA policy.
pub(super) fn sandbox() -> SandboxBuilder {
    Sandbox::builder().enforce_mfa(false)
}

pub(super) async fn start(builder: SandboxBuilder) -> Sandbox {
    builder.start().await.expect("loopback can be listened on")
}

/// The program with a time limit for slow machines, unless `arguments` sets one.
pub(super) async fn doctor(
    sandbox: &Sandbox,
    home: &std::path::Path,
    arguments: &[&str],
) -> Command {
    let mut command = command(sandbox, example("doctor").await, home);
    if !arguments.contains(&"--timeout") {
        command.args(["--timeout", "600"]);
    }
    command.args(arguments);
    command
}

pub(super) async fn run(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().expect("a folder");
    let command = doctor(sandbox, home.path(), arguments).await;
    run_command(sandbox, command).await
}

/// Runs it with JSON output, checks the shape, and looks for secrets in everything that it printed
/// and logged.
pub(super) async fn run_command(sandbox: &Sandbox, mut command: Command) -> Run {
    let log = tempfile::NamedTempFile::new().expect("a file");
    command.args(["--output", "json", "--log"]).arg(log.path());
    let ended = output("doctor", &mut command).await;
    let logged = std::fs::read_to_string(log.path()).expect("a log");
    let all = printed(&ended);
    let mut secrets = sandbox.issued_secrets();
    secrets.push(sandbox.secret_access_key());
    secrets.push(SECRET.to_owned());
    for secret in &secrets {
        let length = secret.len();
        assert!(
            !all.contains(secret),
            "a secret of {length} characters is in {all}"
        );
        assert!(
            !logged.contains(secret),
            "a secret of {length} characters is in the log"
        );
    }
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    let mut checks = BTreeMap::new();
    let mut sum = None;
    for line in text.lines() {
        assert!(line.starts_with(r#"{"event":""#), "{line}");
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(sum.is_none(), "the sum is last: {all}");
        match value["event"].as_str() {
            Some("check") => {
                let status = value["status"].as_str();
                assert!(
                    matches!(status, Some("pass" | "fail" | "unknown")),
                    "{line}"
                );
                assert!(
                    value["meaning"].as_str().is_some_and(|it| !it.is_empty()),
                    "{line}"
                );
                assert!(
                    value["next_step"].is_null() || value["next_step"].is_string(),
                    "{line}"
                );
                assert!(value["details"].is_object(), "{line}");
                let name = value["check"].as_str().expect("a name").to_owned();
                let twice = checks.insert(name, value);
                assert!(twice.is_none(), "twice: {line}");
            }
            Some("doctor") => sum = Some(value),
            _ => panic!("{line}"),
        }
    }
    let sum = sum.unwrap_or_else(|| panic!("no sum: {all}"));
    let counted: u64 = ["passed", "failed", "unknown"]
        .iter()
        .map(|key| sum[key].as_u64().expect("a number"))
        .sum();
    assert_eq!(counted, checks.len() as u64, "{all}");
    Run {
        checks,
        sum,
        code: ended.status.code(),
        all,
        logged,
    }
}
