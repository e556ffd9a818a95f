//! `sandbox`: a stand-in for AWS on this machine.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use ssm_sandbox::{Faults, Instance, Lossy, ResumeUrl, Role, Sandbox, User};
use tokio::runtime::Runtime;

use crate::output::{Format, Output};
use crate::process::Signals;
use crate::sandbox::arguments::{instance, resolved, resume_url, role, share, user, version};
use crate::sandbox::{NAME, Shell, TARGET, environment, json};

const HELP: &str = "\
Exit codes:
  0  stopped as requested
  1  it did not start
  2  invalid options";

/// The options of `sandbox`.
#[derive(Debug, Parser)]
#[command(about = "A stand-in for AWS Systems Manager on loopback", after_help = HELP)]
pub struct Options {
    /// Address to which every port of the instance forwards [default: the same port of this machine]
    #[arg(long, value_name = "ADDRESS")]
    destination: Option<SocketAddr>,
    /// Port of the API endpoint, 0 for a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Allow sessions without MFA
    #[arg(long)]
    no_mfa: bool,
    /// An IAM user and their MFA devices: `mfa/NAME`, `u2f/NAME`, or a hardware serial number; alone,
    /// one virtual device named as the user. Once for each user [default: taro]
    #[arg(long, value_name = "NAME[=DEVICE,…]", value_parser = user)]
    user: Vec<User>,
    /// A role, with any of max-session-duration=SECONDS, max-mfa-age=SECONDS, external-id=ID and
    /// no-mfa. Once for each role [default: every role, for up to 12 hours]
    #[arg(long, value_name = "NAME[,…]", value_parser = role)]
    role: Vec<Role>,
    /// Deny users the listing of their own MFA devices
    #[arg(long)]
    no_iam: bool,
    /// Lines for a shell, or one JSON object for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// The shell that the printed environment is for [default: powershell on Windows, else posix]
    #[arg(long, value_enum)]
    shell: Option<Shell>,
    /// Another instance, with any of name=TAG, computer-name=NAME, ip=ADDRESS, agent-version=VERSION,
    /// offline, not-connected and stopped. Once for each
    #[arg(long, value_name = "ID[,…]", value_parser = instance)]
    instance: Vec<Instance>,
    /// Deny this action to everyone, such as ssm:GetConnectionStatus. Once for each action
    #[arg(long, value_name = "ACTION")]
    deny: Vec<String>,
    /// Version of the instance's agent, which determines its abilities
    #[arg(long, value_name = "VERSION", value_parser = version)]
    agent_version: Option<String>,
    /// Seconds that the agent waits for the client's answer to the handshake, 1 to 60
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    handshake_timeout: u64,
    /// Address that a name resolves to on the instance, whose agent does not forward to loopback, metadata
    /// and other addresses of its denylist. Once for each address
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = resolved)]
    resolves: Vec<(String, IpAddr)>,
    /// StreamUrl of ResumeSession's answers: same, new-cell, empty or absent
    #[arg(long, value_name = "KIND", default_value = "same", value_parser = resume_url)]
    resume_url: ResumeUrl,
    /// Let the agent send as fast as it can, instead of a message a millisecond
    #[arg(long)]
    unpaced: bool,
    /// Seed of the faults below
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of messages dropped in each direction, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    drop: f64,
    /// Share of messages that arrive twice
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    duplicate: f64,
    /// Share of messages that arrive late
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    reorder: f64,
    /// One-way delay in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay: u64,
    /// Cut the websocket each time it has carried this many messages
    #[arg(long, value_name = "COUNT")]
    cut_after: Option<u64>,
    /// Close the websocket with 1000 "Bye" each time it has been open for this many seconds; the service
    /// does so about every hour
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    bye_after: Option<u64>,
    /// Break the agent's own websocket each time this many messages have reached the agent, which then
    /// processes a message twice because it could not acknowledge it
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    agent_breaks_after: Option<u64>,
}

/// Runs it on the arguments of this process.
pub fn main() -> ExitCode {
    run(Options::parse())
}

/// Runs it.
pub fn run(options: Options) -> ExitCode {
    let output = Output::new(options.output);
    let ran = Runtime::new()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(serve(options, output)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.fail(&error);
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options, output: Output) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let shell = options.shell.unwrap_or_default();
    let mut instance = Instance::new(TARGET)
        .name(NAME)
        .paced(!options.unpaced)
        .handshake_timeout(Duration::from_secs(options.handshake_timeout));
    for (name, address) in options.resolves {
        instance = instance.resolves(name, address);
    }
    if let Some(address) = options.destination {
        instance = instance.destination(address);
    }
    if let Some(version) = options.agent_version {
        instance = instance.agent_version(version);
    }
    let lossy = Lossy::default()
        .drop(options.drop)
        .duplicate(options.duplicate)
        .reorder(options.reorder)
        .delay(Duration::from_millis(options.delay));
    let mut faults = Faults::default()
        .seed(options.seed)
        .to_client(lossy)
        .to_agent(lossy);
    faults.cut_after = options.cut_after;
    faults.bye_after = options.bye_after.map(Duration::from_secs);
    faults.agent_breaks_after = options.agent_breaks_after;
    let mut builder = Sandbox::builder();
    let users = if options.user.is_empty() {
        vec![User::from("taro")]
    } else {
        options.user
    };
    for user in users {
        builder = builder.user(user.reads_iam(!options.no_iam));
    }
    for role in options.role {
        builder = builder.role(role);
    }
    for instance in options.instance {
        builder = builder.instance(instance);
    }
    for action in options.deny {
        let context = format!("because no identity-based policy allows the {action} action");
        builder = builder.deny(action, context);
    }
    let sandbox = builder
        .control(true)
        .instance(instance)
        .enforce_mfa(!options.no_mfa)
        .faults(faults)
        .resume_url(options.resume_url)
        .port(options.port)
        .start()
        .await
        .context("the sandbox did not start")?;
    output.say_to_people(&environment(&sandbox, shell));
    output.object("sandbox_started", &json(&sandbox));
    signals.next().await;
    Ok(())
}
