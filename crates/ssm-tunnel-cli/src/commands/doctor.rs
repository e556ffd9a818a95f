//! `doctor`: why a tunnel does not open.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use clap::Parser;
use serde_json::json;
use ssm_mfa::{SessionInfo, SessionKind};
use ssm_tunnel::doctor::{Doctor, Mfa, Report, Status};

use crate::account::{Account, Login, ca_bundle};
use crate::output::{Output, exit};
use crate::process::{Signals, program};
use crate::tunnels::{or_leave, target};

const HELP: &str = "\
Exit codes:
  0    nothing failed
  1    something failed
  2    invalid options
  130  interrupted";

/// The options of `doctor`.
#[derive(Debug, Parser)]
#[command(about = "Find out why a tunnel does not open", after_help = HELP)]
pub struct Options {
    #[arg(value_name = "TARGET", help = target::HELP)]
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
    /// Session document, instead of AWS's own for port forwarding
    #[arg(long, value_name = "NAME")]
    document_name: Option<String>,
    /// Local port that must be free
    #[arg(long, value_name = "PORT")]
    local_port_number: Option<u16>,
    /// Do not start a session; whether you may start one is then not checked
    #[arg(long)]
    no_session: bool,
    /// Time limit in seconds for each check, and for each call of the login before them
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    #[command(flatten)]
    account: Account,
}

/// Runs it on the arguments of this process.
pub fn main() -> ExitCode {
    run(Options::parse())
}

/// Runs it.
pub fn run(options: Options) -> ExitCode {
    let output = Output::new(options.account.output);
    program::run(output, examine(options, output))
}

async fn examine(options: Options, output: Output) -> anyhow::Result<ExitCode> {
    options.account.start_log()?;
    let doctor = doctor(&options).await?;
    // From here on there may be a session to terminate.
    let mut signals = Signals::new()?;
    let running = doctor.run();
    tokio::pin!(running);
    let report = tokio::select! {
        report = &mut running => report,
        () = signals.next() => {
            output.say("Interrupted: waiting for the checks that are under way...");
            or_leave(running, output, &mut signals).await;
            return Ok(ExitCode::from(exit::INTERRUPTED));
        }
    };
    print(&report, output);
    Ok(match report.is_healthy() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// With the credentials that a tunnel would use or, if the login fails, those of the configuration.
async fn doctor(options: &Options) -> anyhow::Result<Doctor> {
    let deadline = Duration::from_secs(options.timeout);
    let aws = options.account.load().await?;
    let base = aws.sdk_config();
    let timeouts = base.timeout_config().map(TimeoutConfig::to_builder);
    let timeouts = timeouts.unwrap_or_default().operation_timeout(deadline);
    let base = base.to_builder().timeout_config(timeouts.build()).build();
    let aws = aws.with_sdk_config(base);
    let doctor = match Login::with(&options.account, &aws).await {
        Ok(login) => Doctor::new(login.config()).mfa(mfa(login.session())),
        Err(error) => Doctor::new(aws.sdk_config()).mfa(Mfa::Failed(format!("{error:#}"))),
    };
    let mut doctor = doctor
        .credentials_from(credentials_from(options))
        .remote_port(options.port_number)
        .start_session(!options.no_session)
        .deadline(deadline);
    if let Some(bundle) = ca_bundle(&aws)? {
        doctor = doctor.ca_bundle(bundle);
    }
    if let Some(target) = options.machine.as_ref().or(options.target.as_ref()) {
        doctor = doctor.target(target);
    }
    if let Some(host) = &options.host {
        doctor = doctor.remote_host(host);
    }
    if let Some(name) = &options.document_name {
        doctor = doctor.document_name(name);
    }
    if let Some(url) = &options.account.stream_endpoint {
        doctor = doctor.stream_endpoint(url);
    }
    if let Some(port) = options.local_port_number {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        doctor = doctor.local_address(address);
    }
    Ok(doctor)
}

fn mfa(session: &SessionInfo) -> Mfa {
    match session.kind {
        SessionKind::Mfa | SessionKind::Role | SessionKind::RoleWithCode => Mfa::Session {
            until: session.code_needed,
        },
        _ => Mfa::Unknown,
    }
}

/// The source of the credentials, in the order in which sources are tried.
fn credentials_from(options: &Options) -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(profile) = &options.account.profile {
        return format!("profile {profile}");
    }
    if variable("AWS_ACCESS_KEY_ID").is_some() {
        return "environment".to_owned();
    }
    match variable("AWS_DEFAULT_PROFILE").or_else(|| variable("AWS_PROFILE")) {
        Some(profile) => format!("profile {profile}"),
        None => "default chain of sources".to_owned(),
    }
}

fn print(report: &Report, output: Output) {
    output.say_to_people(&report.to_string());
    for check in &report.checks {
        output.object("check", check);
    }
    let summary = json!({
        "healthy": report.is_healthy(),
        "passed": report.count(Status::Pass),
        "failed": report.count(Status::Fail),
        "unknown": report.count(Status::Unknown),
    });
    output.object("doctor", &summary);
}
