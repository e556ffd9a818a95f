//! `port_forward`: local ports to any ports of an instance or of hosts that it reaches, for as long as
//! a command inside runs, if there is one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser};
use ssm_tunnel::Tunnel;

use crate::account::Login;
use crate::output::{Output, exit};
use crate::process::{Signals, command, program};
use crate::tunnels::environment::environment;
use crate::tunnels::{Aws, Forward, Local, ReadyFile, Target, Tunnels, open, or_leave, target};

/// The options of `port_forward`.
#[derive(Debug, Parser)]
#[command(about = "Forward local ports through AWS Systems Manager", after_help = format!("{}\n\n{}", exit::HELP, command::HELP))]
struct PortForward {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    options: Options,
}

/// What to forward, and how; without the target.
#[derive(Debug, Args)]
pub struct Options {
    /// Port to reach
    #[arg(long, value_name = "PORT", required_unless_present = "forward")]
    port_number: Option<u16>,
    /// Host to reach from the target, instead of the target itself
    #[arg(long, requires = "port_number")]
    host: Option<String>,
    /// Local port, 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    local_port_number: u16,
    /// Another forward: [LOCAL=][HOST:]PORT; may be given several times
    #[arg(long, value_name = "FORWARD")]
    forward: Vec<Forward>,
    /// Session document, instead of AWS's own for port forwarding
    #[arg(long, value_name = "NAME")]
    document_name: Option<String>,
    /// Write the local addresses to this file, one per line, once every tunnel is ready; it is removed at
    /// the end, and at the start if it exists
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    #[command(flatten)]
    local: Local,
    #[command(flatten)]
    aws: Aws,
    /// Command to run while the tunnels are open, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Options {
    /// What there is to forward.
    pub fn forwards(&self) -> Vec<Forward> {
        let first = self.port_number.map(|port| Forward {
            local: self.local.side(self.local_port_number),
            host: self.host.clone(),
            port,
        });
        first.into_iter().chain(self.forward.clone()).collect()
    }

    /// The same with more to forward.
    pub fn with(mut self, forwards: impl IntoIterator<Item = Forward>) -> Self {
        self.forward.extend(forwards);
        self
    }
}

/// Runs it on the arguments of this process.
pub fn main() -> ExitCode {
    let PortForward { target, options } = PortForward::parse();
    run(target.as_str(), &options)
}

/// Runs it.
pub fn run(target: &str, options: &Options) -> ExitCode {
    let output = Output::new(options.aws.account.output);
    if options.command.is_empty() {
        return program::run(output, carry(target, options, output));
    }
    // Standard output is the command's, and so are exit codes below 125.
    let output = output.on_stderr();
    program::run(output, async {
        let used = carry(target, options, output).await;
        Ok(used.unwrap_or_else(|error| {
            output.fail(&error);
            ExitCode::from(command::TUNNEL_FAILED)
        }))
    })
}

async fn carry(target: &str, options: &Options, output: Output) -> anyhow::Result<ExitCode> {
    options.aws.account.start_log()?;
    let mut ready = match &options.ready_file {
        Some(path) => Some(ReadyFile::new(path)?),
        None => None,
    };
    let login = Login::new(&options.aws.account).await?;
    let mut signals = Signals::new()?;
    let mut tunnels = Tunnels::default();
    let opening = Opening {
        asked: target,
        options,
        login: &login,
        output,
    };
    let opened = opening
        .all(&mut signals, &mut tunnels, ready.as_mut())
        .await;
    let used = match opened {
        Ok(true) if options.command.is_empty() => wait(&tunnels, output, &mut signals).await,
        Ok(true) => run_command(options, &tunnels, output, &mut signals).await,
        Ok(false) => Ok(ExitCode::from(exit::INTERRUPTED)),
        Err(error) => Err(error),
    };
    // Tunnels that are being closed are no longer ready.
    drop(ready);
    let closed = or_leave(tunnels.close(), output, &mut signals).await;
    let code = used?;
    // The command's exit code takes precedence over the tunnel's outcome.
    if options.command.is_empty() {
        closed.context("the tunnel ended")?;
    }
    Ok(code)
}

/// What all tunnels share while they are being opened.
struct Opening<'a> {
    asked: &'a str,
    options: &'a Options,
    login: &'a Login,
    output: Output,
}

impl Opening<'_> {
    /// Opens every tunnel, waits until they are ready, and reports it; `false` if a signal came first.
    async fn all(
        &self,
        signals: &mut Signals,
        tunnels: &mut Tunnels,
        ready_file: Option<&mut ReadyFile>,
    ) -> anyhow::Result<bool> {
        let Self {
            asked,
            options,
            login,
            output,
        } = *self;
        // A name is looked up once, for the first tunnel.
        let mut target = asked.to_owned();
        for forward in options.forwards() {
            let mut builder = Tunnel::builder(&target)
                .remote_port(forward.port)
                .sdk_config(login.config());
            builder = options.local.admit(forward.local.apply(builder));
            if let Some(host) = &forward.host {
                builder = builder.remote_host(host);
            }
            if let Some(name) = &options.document_name {
                builder = builder.document_name(name);
            }
            let opening = login.open(options.aws.apply(builder));
            let Some(tunnel) = open(opening, output, signals).await? else {
                return Ok(false);
            };
            if let Some(id) = tunnel.target().filter(|id| *id != target) {
                target::tell(asked, &tunnel, output);
                target = id.to_owned();
            }
            tunnels.add(forward.local, tunnel, output);
        }
        if options.command.is_empty() && options.ready_file.is_none() {
            // Nothing depends on it, and local connections wait for the agent themselves.
            return Ok(true);
        }
        tokio::select! {
            ready = tunnels.ready() => ready.context("the tunnel ended")?,
            () = signals.next() => return Ok(false),
        }
        if let Some(file) = ready_file {
            file.write(&tunnels.locals())?;
        }
        Ok(true)
    }
}

/// Waits until a tunnel ends or a signal arrives.
async fn wait(
    tunnels: &Tunnels,
    output: Output,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        end = tunnels.ended() => drop(end.context("the tunnel ended")?),
        () = tunnels.show_status(output) => {}
        () = signals.next() => output.say("Terminating session..."),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs the command to its end. If a tunnel fails, the command notices it itself.
async fn run_command(
    options: &Options,
    tunnels: &Tunnels,
    output: Output,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    let variables = environment(&tunnels.locals());
    let mut child = match command::start(&options.command, variables) {
        Ok(child) => child,
        Err(error) => {
            let program = options.command.first().cloned().unwrap_or_default();
            let code = command::not_started(&error);
            output.fail(&anyhow::anyhow!("{}: {error}", program.display()));
            return Ok(ExitCode::from(code));
        }
    };
    let tell = async {
        if let Err(error) = tunnels.ended().await {
            output.fail(&anyhow::Error::from(error).context("the tunnel ended"));
        }
        std::future::pending::<()>().await;
    };
    let status = tokio::select! {
        status = command::wait(&mut child, signals) => status.context("the command was lost")?,
        () = tell => return Ok(ExitCode::FAILURE),
    };
    Ok(ExitCode::from(command::exit_code(status)))
}
