//! `cargo run --example sandbox -- --destination 127.0.0.1:5900`
//!
//! A stand-in for AWS on this machine, to point other tools at: the AWS CLI with
//! session-manager-plugin, your own program, ours. Runs until Ctrl-C. Scripts steer it at its own
//! endpoint: `curl $AWS_ENDPOINT_URL/sandbox/code` prints what the MFA device shows, and
//! `curl $AWS_ENDPOINT_URL/sandbox/` lists the other paths.
//!
//! It prints the environment of its user, to be pasted into the terminal where the other tool runs: for
//! PowerShell on Windows, for bash, zsh and fish elsewhere; `--shell` chooses. With `--output json` it
//! prints all of its users, devices and roles in one object.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use clap::{Parser, ValueEnum};
use ssm_sandbox::{Faults, Instance, Lossy, ResumeUrl, Role, Sandbox, User};
use support::options::Format;
use support::output::Output;
use support::signals::Signals;
use support::story::{NAME, TARGET};

const REGION: &str = "us-east-1";

const HELP: &str = "\
Exit codes:
  0  ended as asked
  1  it did not start
  2  wrong options";

#[derive(Debug, Parser)]
#[command(about = "A stand-in for AWS Systems Manager on loopback", after_help = HELP)]
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
    /// An IAM user and their MFA devices: `mfa/NAME`, `u2f/NAME`, or a hardware serial number; alone,
    /// one virtual device named as the user. Once for each user [default: taro]
    #[arg(long, value_name = "NAME[=DEVICE,…]", value_parser = user)]
    user: Vec<User>,
    /// A role, with any of max-session-duration=SECONDS, max-mfa-age=SECONDS, external-id=ID and
    /// no-mfa. Once for each role [default: every role, for up to 12 hours]
    #[arg(long, value_name = "NAME[,…]", value_parser = role)]
    role: Vec<Role>,
    /// IAM does not let users list their devices
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
    /// Nobody may do this, such as ssm:GetConnectionStatus. Once for each action
    #[arg(long, value_name = "ACTION")]
    deny: Vec<String>,
    /// Version of the instance's agent, which decides what it can do
    #[arg(long, value_name = "VERSION", value_parser = version)]
    agent_version: Option<String>,
    /// Seconds that the agent waits for the client's answer to the handshake, 1 to 60
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    handshake_timeout: u64,
    /// What a name resolves to on the instance; its agent does not forward to loopback, metadata and
    /// other addresses of its denylist. Once for each address
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
    /// Cut the websocket each time this many messages went through it
    #[arg(long, value_name = "COUNT")]
    cut_after: Option<u64>,
    /// Close the websocket with 1000 "Bye" each time it was open this many seconds; the service does
    /// so about every hour
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    bye_after: Option<u64>,
    /// Break the agent's own websocket each time this many messages went to the agent: it then
    /// processes a message again that it could not acknowledge
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    agent_breaks_after: Option<u64>,
}

/// How variables are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// bash, zsh and fish
    #[value(alias = "bash", alias = "zsh", alias = "fish", alias = "sh")]
    Posix,
    /// PowerShell, on any system
    #[value(alias = "pwsh")]
    Powershell,
}

impl Default for Shell {
    fn default() -> Self {
        match cfg!(windows) {
            true => Self::Powershell,
            false => Self::Posix,
        }
    }
}

impl Shell {
    /// A command that sets a variable; fish knows `export` too.
    fn set(self, (name, value): (&str, &str)) -> String {
        match self {
            Self::Posix => format!("export {name}={value}\n"),
            Self::Powershell => format!("$Env:{name} = '{value}'\n"),
        }
    }

    /// A line for people that the shell does nothing about. zsh takes no comments where people type.
    fn note(self, text: &str) -> String {
        match self {
            Self::Posix => format!(": '{text}'"),
            Self::Powershell => format!("# {text}"),
        }
    }

    /// In Windows PowerShell `curl` is another command.
    fn curl(self) -> &'static str {
        match (self, cfg!(windows)) {
            (Self::Powershell, true) => "curl.exe",
            _ => "curl",
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let output = Output::new(options.output);
    match run(options, output).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.fail(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options, output: Output) -> anyhow::Result<()> {
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
        bye_after: options.bye_after.map(Duration::from_secs),
        agent_breaks_after: options.agent_breaks_after,
    };
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

fn share(text: &str) -> anyhow::Result<f64> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| anyhow!("a share is a number from 0 to 1, such as 0.05"))
}

fn version(text: &str) -> anyhow::Result<String> {
    let numbers = text.split('.').map(str::parse::<u32>);
    let sound = numbers.clone().count() == 4 && numbers.into_iter().all(|number| number.is_ok());
    ensure!(
        sound,
        "an agent's version has four numbers, such as 3.3.1142.0"
    );
    Ok(text.to_owned())
}

/// The environment of the first user, for a shell to read; the rest as lines that it passes over.
fn environment(sandbox: &Sandbox, shell: Shell) -> String {
    let endpoint = sandbox.endpoint_url();
    let (key, secret) = (sandbox.access_key_id(), sandbox.secret_access_key());
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &key),
        ("AWS_SECRET_ACCESS_KEY", &secret),
    ];
    let (serial, code, curl) = (
        sandbox.mfa_serial(),
        sandbox.next_unused_code(),
        shell.curl(),
    );
    let notes = [
        format!("instance {TARGET} ({NAME}), MFA device {serial}"),
        format!(
            "its next code: {code} (later: {curl} \"{endpoint}/sandbox/code?serial={serial}\")"
        ),
        format!("how scripts steer it: {curl} {endpoint}/sandbox/"),
    ];
    let notes = notes.map(|note| shell.note(&note)).join("\n");
    format!("{}{notes}", variables.map(|it| shell.set(it)).concat())
}

/// All users with their keys and devices.
fn json(sandbox: &Sandbox) -> serde_json::Value {
    let device = |serial: &String| {
        let seed = sandbox.mfa_seed_of(serial);
        let hex = seed.map(|seed| {
            seed.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        });
        serde_json::json!({ "serial": serial, "seed_hex": hex })
    };
    let user = |name: String| {
        let key = sandbox.access_key_of(&name);
        serde_json::json!({
            "access_key_id": key.as_ref().map(|key| &key.id),
            "secret_access_key": key.as_ref().map(|key| &key.secret),
            "devices": sandbox.mfa_serials_of(&name).iter().map(device).collect::<Vec<_>>(),
            "name": name,
        })
    };
    serde_json::json!({
        "endpoint_url": sandbox.endpoint_url(),
        "region": REGION,
        "instance": TARGET,
        "name": NAME,
        "users": sandbox.users().into_iter().map(user).collect::<Vec<_>>(),
        "roles": sandbox.role_arns(),
    })
}

fn user(text: &str) -> Result<User, String> {
    let Some((name, devices)) = text.split_once('=') else {
        return Ok(User::from(text));
    };
    let mut user = User::new(name);
    for device in devices.split(',').filter(|device| !device.is_empty()) {
        user = match device.split_once('/') {
            Some(("mfa", name)) => user.virtual_device(name),
            Some(("u2f", name)) => user.security_key(name),
            None => user.hardware_device(device),
            _ => {
                return Err(format!(
                    "{device} is not mfa/NAME, u2f/NAME or a serial number"
                ));
            }
        };
    }
    Ok(user)
}

fn instance(text: &str) -> anyhow::Result<Instance> {
    let mut parts = text.split(',');
    let mut instance = Instance::new(parts.next().unwrap_or_default());
    for part in parts {
        instance = match part.split_once('=') {
            Some(("name", value)) => instance.name(value),
            Some(("computer-name", value)) => instance.computer_name(value),
            Some(("ip", value)) => instance.ip_address(value.parse().context("ip is no address")?),
            Some(("agent-version", value)) => instance.agent_version(version(value)?),
            None if part == "offline" => instance.online(false),
            None if part == "not-connected" => instance.connected(false),
            None if part == "stopped" => instance.stopped(true),
            _ => return Err(anyhow!("an instance has no {part}")),
        };
    }
    Ok(instance)
}

fn role(text: &str) -> anyhow::Result<Role> {
    let mut parts = text.split(',');
    let mut role = Role::new(parts.next().unwrap_or_default());
    for part in parts {
        let seconds = |value: &str| {
            let seconds = value.parse().map(Duration::from_secs);
            seconds.with_context(|| format!("{value} is not a number of seconds"))
        };
        role = match part.split_once('=') {
            Some(("max-session-duration", value)) => role.max_session_duration(seconds(value)?),
            Some(("max-mfa-age", value)) => role.max_mfa_age(seconds(value)?),
            Some(("external-id", value)) => role.external_id(value),
            None if part == "no-mfa" => role.requires_mfa(false),
            _ => return Err(anyhow!("a role has no {part}")),
        };
    }
    Ok(role)
}

fn resolved(text: &str) -> anyhow::Result<(String, IpAddr)> {
    let (name, address) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .context("give a name and an address, such as db.internal=10.0.0.9")?;
    let address = address.parse();
    let address = address.with_context(|| format!("{name} has no address"))?;
    Ok((name.to_owned(), address))
}

fn resume_url(text: &str) -> anyhow::Result<ResumeUrl> {
    let known = ResumeUrl::ALL.into_iter().find(|kind| kind.name() == text);
    let names = ResumeUrl::ALL.map(ResumeUrl::name).join(", ");
    known.with_context(|| format!("one of {names}"))
}
