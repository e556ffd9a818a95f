//! Options shared by the commands that open tunnels.

use std::time::Duration;

use clap::{Args, ValueEnum};
use ssm_tunnel::{Limits, OnSessionEnd, TunnelBuilder};

use crate::account::Account;

/// Options shared by the commands that open tunnels.
#[derive(Debug, Clone, Args)]
pub struct Aws {
    /// Credentials, endpoints and output.
    #[command(flatten)]
    pub account: Account,
    /// Why the session is started, for the session history
    #[arg(long)]
    pub reason: Option<String>,
    /// How long to keep resuming a lost connection, in seconds, or `unlimited`
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = budget)]
    pub resume_budget: Budget,
    /// What to do when the session ends for good
    #[arg(long, value_enum, default_value_t = SessionEnd::Stop)]
    pub on_session_end: SessionEnd,
    /// Send a message every SECONDS on an idle session, which defeats the account's idle time-out
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep_alive: Option<u64>,
}

/// How long to keep resuming a lost connection; `None` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(Option<Duration>);

fn budget(text: &str) -> Result<Budget, String> {
    if text == "unlimited" {
        return Ok(Budget(None));
    }
    let seconds = text
        .parse()
        .map_err(|_| "give a number of seconds, or `unlimited`".to_owned())?;
    Ok(Budget(Some(Duration::from_secs(seconds))))
}

/// What to do when the session ends for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SessionEnd {
    /// End too, and say why.
    Stop,
    /// Reset its connections, and start a new session for the next one.
    Restart,
}

impl Aws {
    /// Applies the options to a tunnel.
    pub fn apply(&self, builder: TunnelBuilder) -> TunnelBuilder {
        let mut limits = Limits::default();
        limits.resume_budget = self.resume_budget.0;
        let mut builder = builder.limits(limits);
        if let Some(seconds) = self.keep_alive {
            builder = builder.keep_alive(Duration::from_secs(seconds));
        }
        if self.on_session_end == SessionEnd::Restart {
            builder = builder.on_session_end(OnSessionEnd::Restart);
        }
        if let Some(reason) = &self.reason {
            builder = builder.reason(reason);
        }
        if let Some(url) = &self.account.stream_endpoint {
            builder = builder.stream_endpoint(url);
        }
        builder
    }
}
