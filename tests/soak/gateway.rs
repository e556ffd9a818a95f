//! The sandbox in a process of its own, so that the client's memory can be measured alone.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use clap::Args;
use serde::{Deserialize, Serialize};
use ssm_sandbox::{ApiFault, Faults, Instance, Lossy, Sandbox};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::{Network, destination, say};

pub(crate) const TARGET: &str = "i-0123456789abcdef0";

#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    network: Network,
    /// Cut the websocket each time this many messages went through it
    #[arg(long, value_name = "COUNT")]
    cut_after: Option<u64>,
    /// Mean time between disturbances of the network
    #[arg(long, value_name = "SECONDS")]
    trouble_every: Option<u64>,
    /// Suspend this process now and then (SIGSTOP), like a laptop that sleeps
    #[arg(long, value_name = "PID")]
    stop: Option<u32>,
    /// How long it stays suspended
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    stop_for: u64,
    /// Let the agent send as fast as it can
    #[arg(long)]
    unpaced: bool,
    /// Version of the agent
    #[arg(long)]
    agent_version: Option<String>,
}

/// What the other process needs to know.
#[derive(Debug, Serialize, Deserialize)]
struct Address {
    endpoint_url: String,
    access_key_id: String,
    secret_access_key: String,
}

/// Its last report.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) sessions_started: usize,
    pub(crate) sessions_left: usize,
    pub(crate) resumed: usize,
}

/// The process itself, which runs until its standard input ends.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let mut instance = Instance::new(TARGET)
        .destination(destination::start().await?)
        .paced(!options.unpaced);
    if let Some(version) = &options.agent_version {
        instance = instance.agent_version(version);
    }
    let network = &options.network;
    let lossy = Lossy::default()
        .drop(network.drop)
        .duplicate(network.duplicate)
        .reorder(network.reorder)
        .delay(Duration::from_millis(network.delay));
    let mut faults = Faults::default()
        .seed(network.seed)
        .to_client(lossy)
        .to_agent(lossy);
    faults.cut_after = options.cut_after;
    let sandbox = Sandbox::builder()
        .enforce_mfa(false)
        .instance(instance)
        .faults(faults)
        .start()
        .await?;
    tell(&Address {
        endpoint_url: sandbox.endpoint_url(),
        access_key_id: sandbox.access_key_id(),
        secret_access_key: sandbox.secret_access_key(),
    })
    .await?;
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut random = fastrand::Rng::with_seed(network.seed);
    loop {
        let quiet = match options.trouble_every {
            Some(mean) => Duration::from_millis(random.u64(mean * 500..mean * 1500)),
            None => Duration::from_secs(1 << 30),
        };
        tokio::select! {
            line = input.next_line() => match line? {
                Some(_) => tell(&report(&sandbox)).await?,
                None => return Ok(()),
            },
            () = tokio::time::sleep(quiet) => trouble(&options, &sandbox, &mut random).await?,
        }
    }
}

fn report(sandbox: &Sandbox) -> Report {
    Report {
        sessions_started: sandbox.request_count("StartSession"),
        sessions_left: sandbox.active_sessions().len(),
        resumed: sandbox.request_count("ResumeSession"),
    }
}

async fn tell(what: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(what)?;
    line.push('\n');
    let mut out = tokio::io::stdout();
    out.write_all(line.as_bytes()).await?;
    out.flush().await?;
    Ok(())
}

/// Disturbs the network in one of the ways that real networks do.
async fn trouble(
    options: &Options,
    sandbox: &Sandbox,
    random: &mut fastrand::Rng,
) -> anyhow::Result<()> {
    match random.u32(0..6) {
        0 => sandbox.close_websockets(),
        1 => sandbox.cut_websockets(),
        2 => sandbox.go_silent(),
        3 => {
            for _ in 0..random.u32(1..4) {
                sandbox.fail_next("ResumeSession", ApiFault::Throttle);
            }
            sandbox.cut_websockets();
        }
        4 => {
            sandbox.fail_next("ResumeSession", ApiFault::ErrorAfterHandling);
            sandbox.fail_next("ResumeSession", ApiFault::DropAfterHandling);
            sandbox.cut_websockets();
        }
        _ => match options.stop {
            Some(process) => {
                signal("-STOP", process).await?;
                tokio::time::sleep(Duration::from_secs(options.stop_for)).await;
                if random.bool() {
                    sandbox.cut_websockets();
                }
                signal("-CONT", process).await?;
            }
            None => sandbox.cut_websockets(),
        },
    }
    Ok(())
}

async fn signal(name: &str, process: u32) -> anyhow::Result<()> {
    let sent = Command::new("kill")
        .args([name, &process.to_string()])
        .status()
        .await
        .context("there is no kill")?;
    ensure!(sent.success(), "kill {name} {process} failed");
    Ok(())
}

/// The process as the client sees it.
pub(crate) struct Gateway {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    address: Address,
}

impl Gateway {
    /// Starts it with these arguments besides the network's.
    pub(crate) async fn start(network: &Network, arguments: Vec<String>) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("gateway")
            .args(network.arguments())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the sandbox's process does not start")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = child.stdout.take().context("no standard output")?;
        let mut output = BufReader::new(output).lines();
        let line = output.next_line().await?.context("the sandbox ended")?;
        Ok(Self {
            child,
            input,
            output,
            address: serde_json::from_str(&line)?,
        })
    }

    pub(crate) fn config(&self) -> SdkConfig {
        let address = &self.address;
        let keys = Credentials::new(
            &address.access_key_id,
            &address.secret_access_key,
            None,
            None,
            "soak",
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .endpoint_url(&address.endpoint_url)
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .build()
    }

    pub(crate) async fn report(&mut self) -> anyhow::Result<Report> {
        self.input.write_all(b"report\n").await?;
        let line = self.output.next_line().await?;
        Ok(serde_json::from_str(&line.context("the sandbox ended")?)?)
    }

    /// Ends it, and returns its last report. No session may be left.
    pub(crate) async fn finish(mut self) -> anyhow::Result<Report> {
        // TerminateSession may be answered before it takes effect.
        let mut report = self.report().await?;
        for _ in 0..50 {
            if report.sessions_left == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            report = self.report().await?;
        }
        drop(self.input);
        self.child.wait().await?;
        say(&format!(
            "{} sessions were started, ResumeSession was called {} times, {} sessions are left behind",
            report.sessions_started, report.resumed, report.sessions_left
        ));
        ensure!(report.sessions_left == 0, "sessions are left behind");
        Ok(report)
    }
}
