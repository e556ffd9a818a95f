//! `ssh_proxy`: one connection on standard input and output, as OpenSSH's ProxyCommand wants it.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use ssm_tunnel::Tunnel;

use crate::account::Login;
use crate::output::{Output, exit};
use crate::process::{Signals, stdio};
use crate::tunnels::{Aws, Target, open, or_leave, report};

/// The options of `ssh_proxy`.
#[derive(Debug, Parser)]
#[command(about = "ProxyCommand of ssh through AWS Systems Manager", after_help = exit::HELP)]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Port of sshd: `%p` in ssh's configuration
    #[arg(long, value_name = "PORT", default_value_t = 22)]
    port_number: u16,
    /// Session document, instead of AWS's own for ssh
    #[arg(long, value_name = "NAME", default_value = "AWS-StartSSHSession")]
    document_name: String,
    #[command(flatten)]
    aws: Aws,
}

/// Runs it on the arguments of this process.
pub fn main() -> ExitCode {
    run(Options::parse())
}

/// Runs it.
pub fn run(options: Options) -> ExitCode {
    let output = Output::new(options.aws.account.output)
        .on_stderr()
        .problems_only();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.fail(&error.into());
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(carry(options, output)) {
        Ok(code) => code,
        Err(error) => {
            output.fail(&error);
            ExitCode::from(exit::code(&error))
        }
    };
    // A read from standard input may be pending, and cannot be cancelled.
    runtime.shutdown_background();
    code
}

async fn carry(options: Options, output: Output) -> anyhow::Result<ExitCode> {
    options.aws.account.start_log()?;
    let login = Login::new(&options.aws.account).await?;
    // Until here Ctrl-C just ends the program; from here on there is a session to terminate.
    let mut signals = Signals::new()?;
    let builder = Tunnel::builder(options.target.as_str())
        .remote_port(options.port_number)
        .document_name(options.document_name)
        .sdk_config(login.config());
    let opening = login.open(options.aws.apply(builder));
    let Some(tunnel) = open(opening, output, &mut signals).await? else {
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    let session_id = tunnel.session_id();
    let events = tokio::spawn(report(tunnel.events(), output, session_id));
    let carrying = async {
        let stream = tunnel.connect().await?;
        stdio::carry(stream).await.context("the connection ended")
    };
    let carried = tokio::select! {
        carried = carrying => carried,
        () = signals.next() => Ok(()),
    };
    // Report its end only if the connection did not end by itself: the session ends with it.
    let closed = or_leave(tunnel.close(), output, &mut signals).await;
    events.await?;
    carried?;
    closed
        .map(|_| ExitCode::SUCCESS)
        .context("the tunnel ended")
}
