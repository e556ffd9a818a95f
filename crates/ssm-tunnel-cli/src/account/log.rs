//! The log: where it goes, and which levels it has.

use std::path::Path;

use anyhow::{Context as _, ensure};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The variable that names them, such as `info` or `info,ssm_relay=trace`.
pub const VARIABLE: &str = "SSM_TUNNEL_LOG";

/// At their own `TRACE` level these print tokens and payloads.
const KEPT_QUIET: [&str; 2] = ["aws_smithy_runtime", "tungstenite"];

/// The filter for what [`VARIABLE`] says.
///
/// # Errors
/// When it is not a list of levels. `tracing` would take a mistyped level for a module's name.
pub fn filter(levels: &str) -> anyhow::Result<Targets> {
    for part in levels.split(',').map(str::trim) {
        let (module, level) = part.rsplit_once('=').unwrap_or(("", part));
        let known = ["off", "error", "warn", "info", "debug", "trace"];
        ensure!(
            known.contains(&level.to_ascii_lowercase().as_str()),
            "{VARIABLE} has no level {level:?}: it is off, error, warn, info, debug or trace, for a module MODULE=LEVEL, with commas between"
        );
        ensure!(
            !module.contains('['),
            "{VARIABLE} knows no spans and fields: {part:?} must be MODULE=LEVEL"
        );
        ensure!(
            !KEPT_QUIET.iter().any(|name| module.contains(name)),
            "{VARIABLE} cannot set {module}: it would print tokens and payloads"
        );
    }
    let quiet = KEPT_QUIET.map(|name| format!("{name}=info"));
    Ok(format!("{levels},{}", quiet.join(",")).parse()?)
}

/// Appends a log to this file, without secrets.
///
/// # Errors
/// When it cannot be written.
pub fn log_to(path: &Path) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("cannot write the log {}", path.display()))?;
    let levels = std::env::var(VARIABLE).unwrap_or_else(|_| "debug".to_owned());
    let filter = filter(&levels)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(ssm_terminal::LogWriter::new(file)));
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_levels_are_taken_and_none_that_would_show_secrets() {
        for levels in ["debug", "INFO", "warn,ssm_relay=trace", "off"] {
            filter(levels).expect(levels);
        }
        for levels in ["", "loud", "ssm_relay=", "ssm_relay", "=!!", "debug,,info"] {
            let error = filter(levels).expect_err(levels).to_string();
            assert!(error.contains("has no level"), "{error}");
        }
        for levels in ["ssm_relay[session]=trace", "debug,[{id}]=trace"] {
            let error = filter(levels).expect_err(levels).to_string();
            assert!(error.contains("must be MODULE=LEVEL"), "{error}");
        }
        for levels in [
            "trace,tungstenite=trace",
            "aws_smithy_runtime::client=trace",
        ] {
            let error = filter(levels).expect_err(levels).to_string();
            assert!(error.contains("it would print tokens"), "{error}");
        }
    }
}
