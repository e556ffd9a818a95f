//! `cargo run --example rdp -- my-windows-box --mfa-serial arn:aws:iam::123456789012:mfa/you`
//!
//! The machine is given by its id, `Name` tag, computer name or private IP.
//! Remote Desktop to a Windows instance in a private subnet, under enforced MFA. The options have
//! the AWS CLI's names. `--sandbox` shows all of it on this machine, without an AWS account.

use std::process::ExitCode;

use aws_config::SdkConfig;
use clap::Parser;
use ssm_tunnel::{Tunnel, TunnelBuilder};
use support::exit;
use support::launch;
use support::local::Local;
use support::login::Login;
use support::open::{open, or_leave};
use support::options::Aws;
use support::output::Output;
use support::program;
use support::session;
use support::signals::Signals;
use support::story::{self, Story};
use support::target;

#[derive(Debug, Parser)]
#[command(about = "Remote Desktop through AWS Systems Manager, under MFA", after_help = exit::HELP)]
struct Options {
    #[arg(value_name = "TARGET", help = target::HELP, required_unless_present_any = ["target", "sandbox"])]
    machine: Option<String>,
    /// The same, as the AWS CLI has it
    #[arg(long, value_name = "TARGET", conflicts_with = "machine")]
    target: Option<String>,
    /// Port to reach
    #[arg(long, value_name = "PORT", default_value_t = 3389)]
    port_number: u16,
    /// Host to reach from the target, instead of the target itself
    #[arg(long)]
    host: Option<String>,
    /// Local port, 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 17320)]
    local_port_number: u16,
    /// Start the Remote Desktop client of this machine
    #[arg(long)]
    launch: bool,
    /// Use an embedded stand-in for AWS on this machine: no account needed
    #[arg(long, conflicts_with_all = ["profile", "endpoint_url", "stream_endpoint", "mfa_serial"])]
    sandbox: bool,
    /// What the sandbox's instance forwards to, instead of a demo service; then the tunnel stays open
    #[arg(long, value_name = "ADDRESS", requires = "sandbox")]
    sandbox_destination: Option<std::net::SocketAddr>,
    #[command(flatten)]
    local: Local,
    #[command(flatten)]
    aws: Aws,
}

impl Options {
    fn target(&self) -> &str {
        let given = self.machine.as_deref().or(self.target.as_deref());
        given.unwrap_or(story::TARGET)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let output = Output::new(options.aws.output);
    program::run(output, run(options, output))
}

async fn run(options: Options, output: Output) -> anyhow::Result<ExitCode> {
    options.aws.start_log()?;
    if options.sandbox {
        let story = Story::begin(output, options.sandbox_destination).await?;
        story.show_denial(tunnel(&options, &story.config())).await?;
        let config = story.log_in().await?;
        let mut signals = Signals::new()?;
        return match open(tunnel(&options, &config).open(), output, &mut signals).await? {
            Some(tunnel) => {
                target::tell(options.target(), &tunnel, output);
                story.finish(tunnel, signals).await
            }
            None => Ok(ExitCode::from(exit::INTERRUPTED)),
        };
    }
    let login = Login::new(&options.aws).await?;
    // Until here Ctrl-C just ends the program; from here on there is a session to terminate.
    let mut signals = Signals::new()?;
    let opening = login.open(tunnel(&options, login.config()));
    let Some(tunnel) = open(opening, output, &mut signals).await? else {
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    target::tell(options.target(), &tunnel, output);
    if options.launch {
        tokio::select! {
            ready = tunnel.ready() => ready?,
            () = signals.next() => {
                or_leave(tunnel.close(), output, &mut signals).await?;
                return Ok(ExitCode::from(exit::INTERRUPTED));
            }
        }
        launch::remote_desktop(tunnel.local_addr())?;
    }
    session::run(tunnel, output, signals).await
}

fn tunnel(options: &Options, config: &SdkConfig) -> TunnelBuilder {
    let mut builder = Tunnel::builder(options.target())
        .remote_port(options.port_number)
        .sdk_config(config);
    if let Some(host) = &options.host {
        builder = builder.remote_host(host);
    }
    let builder = options.local.apply(builder, options.local_port_number);
    options.aws.apply(builder)
}
