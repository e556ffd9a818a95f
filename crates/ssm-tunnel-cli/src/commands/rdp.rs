//! `rdp`: Remote Desktop to a Windows instance in a private subnet, under MFA.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use aws_config::SdkConfig;
use clap::Parser;
use ssm_tunnel::{Tunnel, TunnelBuilder};

use crate::account::Login;
use crate::desktop::{self, Desired, Desktop, PasswordOptions, Wanted, reachable};
use crate::output::{Output, exit};
use crate::process::{Signals, program};
use crate::rdp::{RdpClient, RdpFile};
use crate::sandbox::{self, Story};
use crate::tunnels::{Aws, Local, open, or_leave, target};

/// The options of `rdp`.
#[derive(Debug, Parser)]
#[command(about = "Remote Desktop through AWS Systems Manager, under MFA", after_help = exit::HELP)]
pub struct Options {
    #[arg(value_name = "TARGET", help = target::HELP, required_unless_present_any = ["target", "sandbox"])]
    machine: Option<String>,
    /// The target, as an option like the AWS CLI's
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
    /// Start this machine's Remote Desktop client, and close the tunnel when it exits
    #[arg(long, conflicts_with = "local_socket")]
    launch: bool,
    /// User to sign in as: NAME, DOMAIN\NAME or NAME@DOMAIN
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Write a file for Remote Desktop clients; an existing file keeps its other settings
    #[arg(long, value_name = "FILE.rdp", conflicts_with = "local_socket")]
    rdp_file: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordOptions,
    /// Use an embedded stand-in for AWS on this machine: no account needed
    #[arg(long, conflicts_with_all = ["profile", "endpoint_url", "stream_endpoint", "mfa_serial", "private_key"])]
    sandbox: bool,
    /// Address that the sandbox's instance forwards to, instead of a demo service; the tunnel then stays open
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
        given.unwrap_or(sandbox::TARGET)
    }
}

/// Runs it on the arguments of this process.
pub fn main() -> ExitCode {
    run(Options::parse())
}

/// Runs it.
pub fn run(options: Options) -> ExitCode {
    let output = Output::new(options.aws.account.output);
    program::run(output, connect(options, output))
}

async fn connect(options: Options, output: Output) -> anyhow::Result<ExitCode> {
    options.aws.account.start_log()?;
    // Report settings that cannot work before any prompt or call.
    let client = options.launch.then(RdpClient::find).transpose()?;
    let reads = client.as_ref().is_some_and(RdpClient::reads_password);
    let wanted = options.password.wanted(reads, options.aws.account.output)?;
    if options.sandbox {
        let story = Story::begin(output, options.sandbox_destination).await?;
        story.show_denial(tunnel(&options, &story.config())).await?;
        let config = story.log_in().await?;
        let mut signals = Signals::new()?;
        return match open(tunnel(&options, &config).open(), output, &mut signals).await? {
            Some(tunnel) if story.stays_open() => {
                use_it(&options, client, None, &config, tunnel, output, signals).await
            }
            Some(tunnel) => {
                target::tell(options.target(), &tunnel, output);
                story.finish(tunnel, signals).await
            }
            None => Ok(ExitCode::from(exit::INTERRUPTED)),
        };
    }
    let login = Login::new(&options.aws.account).await?;
    // Until here Ctrl-C just ends the program; from here on there is a session to terminate.
    let mut signals = Signals::new()?;
    let opening = login.open(tunnel(&options, login.config()));
    let Some(tunnel) = open(opening, output, &mut signals).await? else {
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    use_it(
        &options,
        client,
        wanted,
        login.config(),
        tunnel,
        output,
        signals,
    )
    .await
}

/// Uses an open tunnel until it ends.
async fn use_it(
    options: &Options,
    client: Option<RdpClient>,
    wanted: Option<Wanted>,
    config: &SdkConfig,
    tunnel: Tunnel,
    output: Output,
    mut signals: Signals,
) -> anyhow::Result<ExitCode> {
    target::tell(options.target(), &tunnel, output);
    let target = tunnel.target().unwrap_or(options.target());
    let preparing = async {
        let password = match &wanted {
            Some(wanted) => Some(wanted.get(config, target, output).await?),
            None => None,
        };
        let address = tunnel.local_addr();
        let address = reachable(address.context("the tunnel has no local port")?);
        let mut file = match &options.rdp_file {
            Some(path) => RdpFile::at(path, address)?,
            None => RdpFile::new(address),
        };
        let administrator = password.as_ref().map(|_| "Administrator");
        let username = options.username.as_deref().or(administrator);
        if let Some(name) = username {
            file = file.username(name)?;
        }
        if let Some(path) = &options.rdp_file {
            file.save(path)?;
            output.object("rdp_file", &serde_json::json!({ "path": path }));
            output.say_to_people(&format!("Open {} to connect", path.display()));
        }
        let Some(client) = client else {
            return Ok(None);
        };
        tunnel.ready().await?;
        let host = options.host.as_deref();
        let host = host.filter(|host| !ssm_tunnel::is_target_itself(host));
        let desired = Desired {
            address,
            file: &file,
            saved: options.rdp_file.clone(),
            only_address: username.is_none(),
            password: password.as_ref(),
            machine: host.unwrap_or(target),
        };
        Desktop::start(client, desired).await.map(Some)
    };
    let prepared = tokio::select! {
        prepared = preparing => prepared,
        () = signals.next() => {
            or_leave(tunnel.close(), output, &mut signals).await?;
            return Ok(ExitCode::from(exit::INTERRUPTED));
        }
    };
    let desktop = match prepared {
        Ok(desktop) => desktop,
        Err(error) => {
            // Terminate the session before reporting the error.
            let _ = or_leave(tunnel.close(), output, &mut signals).await;
            return Err(error);
        }
    };
    desktop::run(tunnel, desktop, output, signals).await
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
