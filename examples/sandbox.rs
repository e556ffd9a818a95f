//! `cargo run --example sandbox -- --destination 127.0.0.1:5900`
//!
//! A stand-in for AWS on this machine, to point other tools at: the AWS CLI with
//! session-manager-plugin, your own program, ours. Runs until Ctrl-C.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use ssm_sandbox::{Faults, Instance, Lossy, Sandbox};
use support::signals::Signals;
use support::story::TARGET;

#[derive(Debug, Parser)]
#[command(about = "A stand-in for AWS Systems Manager on loopback")]
struct Options {
    /// Where every port of the instance really leads; unset, the same port of this machine
    #[arg(long, value_name = "ADDRESS")]
    destination: Option<SocketAddr>,
    /// Port of the API endpoint, 0 for a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Allow sessions without MFA
    #[arg(long)]
    no_mfa: bool,
    /// Version of the instance's agent, which decides what it can do
    #[arg(long, value_name = "VERSION")]
    agent_version: Option<String>,
    /// Let the agent send as fast as it can, instead of a message a millisecond
    #[arg(long)]
    unpaced: bool,
    /// Seed of the faults below
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of messages dropped in each direction, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    drop: f64,
    /// Share of messages that arrive twice
    #[arg(long, default_value_t = 0.0)]
    duplicate: f64,
    /// Share of messages that arrive late
    #[arg(long, default_value_t = 0.0)]
    reorder: f64,
    /// One-way delay in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
    /// Cut the websocket each time this many messages went through it
    #[arg(long, value_name = "COUNT")]
    cut_after: Option<u64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut signals = Signals::new()?;
    let mut instance = Instance::new(TARGET).paced(!options.unpaced);
    if let Some(address) = options.destination {
        instance = instance.destination(address);
    }
    if let Some(version) = options.agent_version {
        instance = instance.agent_version(version);
    }
    let lossy = Lossy {
        drop: options.drop,
        duplicate: options.duplicate,
        reorder: options.reorder,
        delay: Duration::from_millis(options.delay),
    };
    let faults = Faults {
        seed: options.seed,
        to_client: lossy,
        to_agent: lossy,
        cut_after: options.cut_after,
    };
    let sandbox = Sandbox::builder()
        .instance(instance)
        .enforce_mfa(!options.no_mfa)
        .faults(faults)
        .port(options.port)
        .start()
        .await
        .context("the sandbox did not start")?;
    let mut out = std::io::stdout();
    writeln!(out, "export AWS_ENDPOINT_URL={}", sandbox.endpoint_url())?;
    writeln!(
        out,
        "export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1"
    )?;
    writeln!(out, "export AWS_ACCESS_KEY_ID={}", sandbox.access_key_id())?;
    writeln!(
        out,
        "export AWS_SECRET_ACCESS_KEY={}",
        sandbox.secret_access_key()
    )?;
    writeln!(
        out,
        "# instance {TARGET}, MFA device {}",
        sandbox.mfa_serial()
    )?;
    writeln!(out, "# its next code: {}", sandbox.next_unused_code())?;
    out.flush()?;
    signals.next().await;
    Ok(())
}
