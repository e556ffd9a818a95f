//! `cargo run --release --example port_forward -- --target i-0123456789abcdef0 --port-number 5432`
//!
//! Forwards a local port to any port of an instance, or with `--host` to any host it reaches.
//! Credentials come from the environment or the profile, with a code of the MFA device that it
//! names; it prints as soon as it listens.

use std::process::ExitCode;

use clap::Parser;
use ssm_tunnel::Tunnel;
use support::exit;
use support::local::Local;
use support::login::Login;
use support::open::open;
use support::options::Aws;
use support::output::Output;
use support::program;
use support::session;
use support::signals::Signals;

#[derive(Debug, Parser)]
#[command(about = "Forward a local port through AWS Systems Manager", after_help = exit::HELP)]
struct Options {
    /// Instance id, managed node (mi-…), or container (ecs:CLUSTER_TASK_RUNTIMEID)
    #[arg(long)]
    target: String,
    /// Port to reach
    #[arg(long, value_name = "PORT")]
    port_number: u16,
    /// Host to reach from the target, instead of the target itself
    #[arg(long)]
    host: Option<String>,
    /// Local port, 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    local_port_number: u16,
    /// Session document, instead of AWS's own for port forwarding
    #[arg(long, value_name = "NAME")]
    document_name: Option<String>,
    #[command(flatten)]
    local: Local,
    #[command(flatten)]
    aws: Aws,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let output = Output::new(options.aws.output);
    program::run(output, run(options, output))
}

async fn run(options: Options, output: Output) -> anyhow::Result<ExitCode> {
    options.aws.start_log()?;
    let login = Login::new(&options.aws).await?;
    let mut signals = Signals::new()?;
    let mut builder = Tunnel::builder(options.target)
        .remote_port(options.port_number)
        .sdk_config(login.config());
    if let Some(host) = options.host {
        builder = builder.remote_host(host);
    }
    if let Some(name) = options.document_name {
        builder = builder.document_name(name);
    }
    let builder = options.local.apply(builder, options.local_port_number);
    let opening = login.open(options.aws.apply(builder));
    match open(opening, output, &mut signals).await? {
        Some(tunnel) => session::run(tunnel, output, signals).await,
        None => Ok(ExitCode::from(exit::INTERRUPTED)),
    }
}
