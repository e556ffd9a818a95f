//! `ssh` and `scp` to an instance without any open port, as OpenSSH's ProxyCommand.
//!
//! In `~/.ssh/config`, after `cargo install --path examples --example ssh_proxy` or with the
//! program's full path:
//!
//! ```text
//! Host i-* mi-*
//!     ProxyCommand ssh_proxy --target %h --port-number %p
//! ```
//!
//! Then `ssh ec2-user@i-0123456789abcdef0`, `scp`, `sftp`, `rsync`, `git` and editors over ssh work
//! as to any host. `Host i-* mi-* dev-*` lets `ssh ec2-user@dev-web` find the machine whose `Name` tag
//! or computer name that is. A user who must use MFA names the device as `mfa_serial` in the profile, or adds
//! `--mfa-serial arn:aws:iam::123456789012:mfa/you`: the code is asked for on the terminal, since
//! standard input and output carry ssh's own data, and once a day. `ControlMaster auto`,
//! `ControlPersist 10m` and `ControlPath ~/.ssh/%C` let further commands share the connection.
//!
//! The session's document is `AWS-StartSSHSession`, which the user's policy must name. It reaches
//! `sshd` on the instance itself, which authenticates the user as ever. Whatever there is to say
//! goes to standard error: what went wrong, or with `--output json` every event.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use ssm_tunnel::Tunnel;
use support::login::Login;
use support::open::{open, or_leave};
use support::options::Aws;
use support::output::Output;
use support::signals::Signals;
use support::target::Target;
use support::{exit, session, stdio};

#[derive(Debug, Parser)]
#[command(about = "ProxyCommand of ssh through AWS Systems Manager", after_help = exit::HELP)]
struct Options {
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

fn main() -> ExitCode {
    let options = Options::parse();
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
    let code = match runtime.block_on(run(options, output)) {
        Ok(code) => code,
        Err(error) => {
            output.fail(&error);
            ExitCode::from(exit::code(&error))
        }
    };
    // Standard input may still be read from, and that cannot be called off.
    runtime.shutdown_background();
    code
}

async fn run(options: Options, output: Output) -> anyhow::Result<ExitCode> {
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
    let events = tokio::spawn(session::report(tunnel.events(), output, session_id));
    let carry = async {
        let stream = tunnel.connect().await?;
        stdio::carry(stream).await.context("the connection ended")
    };
    let carried = tokio::select! {
        carried = carry => carried,
        () = signals.next() => Ok(()),
    };
    // Its end is news only if the connection had none: the document ends with the connection.
    let closed = or_leave(tunnel.close(), output, &mut signals).await;
    events.await?;
    carried?;
    closed
        .map(|_| ExitCode::SUCCESS)
        .context("the tunnel ended")
}
