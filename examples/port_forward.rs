//! `cargo run --release --example port_forward -- --target i-0123456789abcdef0 --port-number 5432`
//!
//! Forwards a local port to any port of an instance, or with `--host` to any host it reaches.
//! The machine is given by its id, or by its `Name` tag, computer name or private IP.
//! Credentials come from the environment or the profile, with a code of the MFA device that it
//! names; it prints as soon as it listens. On a terminal its last line tells connections, bytes, rate,
//! round trip and resumes.
//!
//! # Several at once
//!
//! `--forward [LOCAL=][HOST:]PORT`, as often as needed. `LOCAL` is a port of 127.0.0.1, any address
//! with its port, or a Unix socket's path; without it a free port is taken. ssh's way of writing it,
//! `LOCAL:HOST:PORT`, is understood too. Each has a session of its own; when one ends, all do.
//!
//! ```text
//! port_forward --target i-… --forward 15432=db.internal:5432 --forward ./redis.sock=cache.internal:6379
//! ```
//!
//! # In scripts
//!
//! A command after `--` runs once everything is ready. When it ends the tunnels are closed, and its
//! exit code is this program's. It finds them in `SSM_TUNNEL_ADDR` (address and port, or socket),
//! `SSM_TUNNEL_HOST` and `SSM_TUNNEL_PORT`, the second one in `SSM_TUNNEL_ADDR_2` and so on:
//!
//! ```text
//! port_forward --target i-… --host db.internal --port-number 5432 -- \
//!     sh -c 'pg_dump --host "$SSM_TUNNEL_HOST" --port "$SSM_TUNNEL_PORT" app' > app.sql
//! ```
//!
//! Standard output is then the command's, and events go to standard error. Exit code 125 means that
//! the tunnel failed, 126 that the command could not be started, 127 that there is none, 128 and a
//! number that this signal ended it.
//!
//! For a tunnel in the background, `--ready-file FILE` appears once everything is ready, with the
//! addresses, a line each, and disappears before the tunnels are closed; a file that is there at the
//! start is removed. With `--output json` the events `ready` say the same. SIGTERM or Ctrl-C ends the
//! session.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use ssm_tunnel::Tunnel;
use support::command;
use support::exit;
use support::forward::Forward;
use support::local::Local;
use support::login::Login;
use support::open::{open, or_leave};
use support::options::Aws;
use support::output::Output;
use support::program;
use support::ready_file::ReadyFile;
use support::signals::Signals;
use support::target::{self, Target};
use support::tunnels::Tunnels;

#[derive(Debug, Parser)]
#[command(about = "Forward local ports through AWS Systems Manager", after_help = format!("{}\n\n{}", exit::HELP, command::HELP))]
struct Options {
    #[command(flatten)]
    target: Target,
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
    /// Write this file with the local addresses, a line each, once everything is ready; it is removed at
    /// the end, and at the start if it is there
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
    fn forwards(&self) -> Vec<Forward> {
        let first = self.port_number.map(|port| Forward {
            local: self.local.side(self.local_port_number),
            host: self.host.clone(),
            port,
        });
        first.into_iter().chain(self.forward.clone()).collect()
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let output = Output::new(options.aws.account.output);
    if options.command.is_empty() {
        return program::run(output, run(&options, output));
    }
    // Standard output is the command's, and so are exit codes below 125.
    let output = output.on_stderr();
    program::run(output, async {
        let used = run(&options, output).await;
        Ok(used.unwrap_or_else(|error| {
            output.fail(&error);
            ExitCode::from(command::TUNNEL_FAILED)
        }))
    })
}

async fn run(options: &Options, output: Output) -> anyhow::Result<ExitCode> {
    options.aws.account.start_log()?;
    let mut ready = match &options.ready_file {
        Some(path) => Some(ReadyFile::new(path)?),
        None => None,
    };
    let login = Login::new(&options.aws.account).await?;
    let mut signals = Signals::new()?;
    let mut tunnels = Tunnels::default();
    let opened = open_all(
        options,
        &login,
        output,
        &mut signals,
        &mut tunnels,
        ready.as_mut(),
    )
    .await;
    let used = match opened {
        Ok(true) if options.command.is_empty() => wait(&tunnels, output, &mut signals).await,
        Ok(true) => run_command(options, &tunnels, output, &mut signals).await,
        Ok(false) => Ok(ExitCode::from(exit::INTERRUPTED)),
        Err(error) => Err(error),
    };
    // What is being closed is not ready any more.
    drop(ready);
    let closed = or_leave(tunnels.close(), output, &mut signals).await;
    let code = used?;
    // The command's exit code stands, whatever became of the tunnel.
    if options.command.is_empty() {
        closed.context("the tunnel ended")?;
    }
    Ok(code)
}

/// Opens every tunnel, waits until they are ready, and says so; `false` when a signal came first.
async fn open_all(
    options: &Options,
    login: &Login,
    output: Output,
    signals: &mut Signals,
    tunnels: &mut Tunnels,
    ready_file: Option<&mut ReadyFile>,
) -> anyhow::Result<bool> {
    let asked = options.target.as_str();
    // A name is looked up once, for the first.
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
        // Nobody waits for it, and a local connection may wait for the agent itself.
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

/// Waits for the end, wherever it comes from.
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

/// Runs the command to its end, whatever becomes of the tunnels: it notices by itself.
async fn run_command(
    options: &Options,
    tunnels: &Tunnels,
    output: Output,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    let environment = command::environment(&tunnels.locals());
    let mut child = match command::start(&options.command, environment) {
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
