//! `cargo run --example rdp -- my-windows-box --mfa-serial arn:aws:iam::123456789012:mfa/you`
//!
//! Remote Desktop to a Windows instance in a private subnet, under enforced MFA. The machine is given
//! by its id, `Name` tag, computer name or private IP. The options have the AWS CLI's names.
//! `--sandbox` shows all of it on this machine, without an AWS account.
//!
//! # The client
//!
//! `--launch` starts the Remote Desktop client of this machine: mstsc on Windows, the Windows App on
//! macOS (the tunnel stays until it is quit), FreeRDP or Remmina elsewhere. When it ends, the tunnel
//! does; exit code 11 means that it is missing or failed. `--rdp-file FILE.rdp` writes a file for any
//! client instead, or for the one that is launched: it asks for the password, shows the machine's
//! certificate, and shares the clipboard and nothing else. A file that is there keeps its settings but
//! the address. mstsc warns of such files, as they are not signed, but not when `--launch` stands
//! alone, without `--rdp-file` and `--username`. FreeRDP accepts a machine's certificate the first
//! time and remembers it by the machine, not by the address, which is the same for all of them.
//!
//! # The Administrator's password
//!
//! `--private-key KEY.pem` asks EC2 for the password that a Windows instance made at its first start
//! (`ec2:GetPasswordData`, on the instance) and decrypts it with the private key of its key pair. It
//! is shown once, on the terminal only unless `--show-password` is given; or `--copy-password` copies
//! it (clip, pbcopy, wl-copy, xclip, xsel; a clipboard's history may keep it); with `--launch` FreeRDP
//! gets it on its standard input, and nobody sees it. It never stands on a command line, in a file or
//! in a log. Exit code 12: there is none yet, up to 15 minutes after the launch.
//!
//! ```text
//! rdp my-windows-box --private-key ~/keys/windows.pem --copy-password --launch
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use aws_config::SdkConfig;
use clap::Parser;
use ssm_tunnel::{RdpClient, RdpFile, Tunnel, TunnelBuilder};
use support::exit;
use support::launch::{Desired, Desktop, reachable};
use support::local::Local;
use support::login::Login;
use support::open::{open, or_leave};
use support::options::Aws;
use support::output::Output;
use support::password::{PasswordOptions, Wanted};
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
    /// Start the Remote Desktop client of this machine; the tunnel ends with it
    #[arg(long, conflicts_with = "local_socket")]
    launch: bool,
    /// Who signs in: NAME, DOMAIN\NAME or NAME@DOMAIN
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Write a file for Remote Desktop clients; one that is there keeps its other settings
    #[arg(long, value_name = "FILE.rdp", conflicts_with = "local_socket")]
    rdp_file: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordOptions,
    /// Use an embedded stand-in for AWS on this machine: no account needed
    #[arg(long, conflicts_with_all = ["profile", "endpoint_url", "stream_endpoint", "mfa_serial", "private_key"])]
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
    let output = Output::new(options.aws.account.output);
    program::run(output, run(options, output))
}

async fn run(options: Options, output: Output) -> anyhow::Result<ExitCode> {
    options.aws.account.start_log()?;
    // What cannot work is said before anything is asked or opened.
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

/// From an open tunnel to its end.
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
        let address = reachable(
            tunnel
                .local_addr()
                .context("the tunnel has no local port")?,
        );
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
            // What went wrong is said; the session is not left behind.
            let _ = or_leave(tunnel.close(), output, &mut signals).await;
            return Err(error);
        }
    };
    session::run_with(tunnel, desktop, output, signals).await
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
