//! Endurance runs over real sockets, each with the sandbox in a process of its own:
//!
//! - `soak mixed --seconds 3600`: mixed traffic while the network fails in every way; the memory
//!   of this process must stay flat, and no session may be left behind.
//! - `soak transfer --megabytes 1024 --cuts 200`: one connection, both directions at once, while
//!   the gateway cuts the websocket; both ends compare SHA-256.
//!
//! `tests/soak.sh` builds and runs it. The exit code is 0 only if every check passed.

mod destination;
mod gateway;
mod memory;
mod mixed;
mod transfer;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Endurance runs over real sockets")]
struct Options {
    #[command(subcommand)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Run {
    /// Mixed traffic with faults: flat memory, nothing lost, nothing left behind
    Mixed(mixed::Options),
    /// One large transfer each way at once while websockets are cut
    Transfer(transfer::Options),
    /// The sandbox's process (started by the others)
    #[command(hide = true)]
    Gateway(gateway::Options),
}

/// Faults of the messages between gateway and client, both ways.
#[derive(Debug, Clone, Args)]
pub(crate) struct Network {
    /// Seed of all choices
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Share of messages dropped in each direction, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    pub(crate) drop: f64,
    /// Share of messages that arrive twice
    #[arg(long, default_value_t = 0.0)]
    pub(crate) duplicate: f64,
    /// Share of messages that arrive late
    #[arg(long, default_value_t = 0.0)]
    pub(crate) reorder: f64,
    /// One-way delay in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) delay: u64,
}

impl Network {
    /// The same as arguments of the other process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        [
            ("--seed", self.seed.to_string()),
            ("--drop", self.drop.to_string()),
            ("--duplicate", self.duplicate.to_string()),
            ("--reorder", self.reorder.to_string()),
            ("--delay", self.delay.to_string()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Options::parse().run {
        Run::Mixed(options) => mixed::run(options).await,
        Run::Transfer(options) => transfer::run(options).await,
        Run::Gateway(options) => gateway::run(options).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a program")]
            {
                eprintln!("soak: FAILED: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

/// A line of the report.
#[expect(clippy::print_stdout, reason = "a program")]
pub(crate) fn say(text: &str) {
    println!("soak: {text}");
}
