//! `cargo run --example mfa -- login --profile work`
//!
//! One MFA session a day for everything on this machine. `login` asks for the code on the terminal;
//! `status` and `logout` ask nothing. `export` prints the credentials for other programs; in
//! `~/.aws/config` it serves the AWS CLI, Terraform and every SDK:
//!
//! ```text
//! [profile work-mfa]
//! credential_process = /path/to/mfa export --profile work
//! ```
//!
//! `--mfa-serial auto` finds the user's MFA device, and `mfa --list-devices` shows them all.
//!
//! For a shell: `eval "$(mfa export --format env --profile work)"` in bash and zsh,
//! `mfa export --format fish --profile work | source` in fish,
//! `mfa export --format powershell --profile work | Out-String | Invoke-Expression` in PowerShell; what
//! `--format cmd` prints is for cmd.
//!
//! Exit code: 0 when there is a session (`logout`: when there is none any more; `--list-devices`:
//! when there is a device that has codes), 1 when not, 2 for
//! wrong options. The code is asked for on the terminal itself, so that standard input and output
//! stay the other program's.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format as DateFormat;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use serde_json::json;
use ssm_mfa::{
    CliCache, MfaProvider, MfaProviderBuilder, MfaSerial, RoleSpec, SessionInfo, SessionKind,
    SessionSource, Strategy, TerminalPrompt,
};
use support::login::{device, mfa_code};
use support::options::{Format, load};
use support::output::Output;
use support::shell::Shell;

const HELP: &str = "\
Exit codes:
  0  there is a session; logout: there is none any more; --list-devices: there is a device that has codes
  1  not so
  2  wrong options";

#[derive(Debug, Parser)]
#[command(
    name = "mfa",
    about = "MFA sessions of AWS for every program on this machine",
    after_help = HELP,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Options {
    /// List the MFA devices of the user whose keys the profile has
    #[arg(long)]
    list_devices: bool,
    #[command(flatten)]
    account: Account,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make sure that there is a session, asking for a code if there is none
    Login {
        /// Ask for a code even if there is a session
        #[arg(long)]
        renew: bool,
        #[command(flatten)]
        code: Code,
        #[command(flatten)]
        profile: Profile,
    },
    /// Say what session there is; ask nothing, call nobody
    Status {
        #[command(flatten)]
        profile: Profile,
    },
    /// Forget the session (AWS accepts it until it ends all the same)
    Logout {
        #[command(flatten)]
        profile: Profile,
    },
    /// Print the credentials, asking for a code if there is no session
    Export {
        /// JSON for `credential_process`, or lines for a shell
        #[arg(long, value_enum, default_value_t = Export::Process)]
        format: Export,
        #[command(flatten)]
        code: Code,
        #[command(flatten)]
        profile: Profile,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Export {
    /// For `credential_process`, version 1
    Process,
    /// `export AWS_ACCESS_KEY_ID=…` for bash, zsh and other POSIX shells
    Env,
    /// `set -gx AWS_ACCESS_KEY_ID …` for fish
    Fish,
    /// `$Env:AWS_ACCESS_KEY_ID = …` for PowerShell
    #[value(name = "powershell")]
    PowerShell,
    /// `set "AWS_ACCESS_KEY_ID=…"` for cmd
    Cmd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cache {
    Off,
    Read,
    ReadWrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Spend {
    Auto,
    Session,
    Direct,
}

#[derive(Debug, Args)]
struct Account {
    /// Profile of the AWS configuration
    #[arg(long)]
    profile: Option<String>,
    /// AWS region
    #[arg(long)]
    region: Option<String>,
    /// Call STS and IAM here instead of AWS's own endpoints
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Text for people, or one JSON object for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Args)]
struct Profile {
    #[command(flatten)]
    account: Account,
    /// Serial number of the MFA device, instead of the profile's; `auto` asks IAM, and you if there
    /// are several
    #[arg(long, value_name = "SERIAL")]
    mfa_serial: Option<String>,
    /// Take on this role, after those of the profile
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// Seconds: of the role named here, otherwise of the MFA session
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// What the code is spent on: a session for every role, or the role itself
    #[arg(long, value_enum, default_value_t = Spend::Auto)]
    strategy: Spend,
    /// Share role sessions with the AWS CLI
    #[arg(long, value_enum, default_value_t = Cache::Read)]
    cli_cache: Cache,
}

/// Where the code comes from.
#[derive(Debug, Default, Args)]
struct Code {
    /// The code, or - to read it from standard input (other users may see the command line)
    #[arg(long, value_name = "CODE")]
    mfa_code: Option<String>,
    /// Do not show the code while it is typed
    #[arg(long)]
    hide_code: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if options.command.is_none() && !options.list_devices {
        let problem = "name a command, or --list-devices";
        let error = Options::command().error(ErrorKind::MissingSubcommand, problem);
        error.exit();
    }
    let output = match &options.command {
        None => Output::new(options.account.output),
        Some(
            Command::Login { profile, .. }
            | Command::Status { profile }
            | Command::Logout { profile },
        ) => Output::new(profile.account.output),
        // Standard output is the other program's.
        Some(Command::Export { profile, .. }) => Output::new(profile.account.output).on_stderr(),
    };
    let ran = match options.command {
        None => list_devices(&options.account, output).await,
        Some(command) => run(command, output).await,
    };
    match ran {
        Ok(code) => code,
        Err(error) => {
            output.fail(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Command::Login {
            renew,
            code,
            profile,
        } => {
            let provider = profile.provider(&code).await?;
            let session = if renew {
                provider.renew().await?
            } else {
                provider.login().await?
            };
            show(output, &session);
        }
        Command::Status { profile } => {
            let provider = profile.provider(&Code::default()).await?;
            match provider.peek().await? {
                Some(session) => show(output, &session),
                None if profile.account.output == Format::Json => {
                    output.object("no_session", &json!({}));
                    return Ok(ExitCode::FAILURE);
                }
                None => bail!("there is no session: log in with `mfa login`"),
            }
        }
        Command::Logout { profile } => {
            let provider = profile.provider(&Code::default()).await?;
            provider.logout().await?;
            output.object("logged_out", &json!({}));
            output.say_to_people(
                "The session is forgotten. AWS accepts it until it ends all the same.",
            );
        }
        Command::Export {
            format,
            code,
            profile,
        } => {
            let provider = profile.provider(&code).await?;
            let text = export(&provider, format).await?;
            print(&text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Account {
    async fn builder(&self) -> anyhow::Result<MfaProviderBuilder> {
        let profile = self.profile.as_deref();
        let region = self.region.as_deref();
        let aws = load(profile, region, self.endpoint_url.as_deref()).await?;
        Ok(MfaProviderBuilder::from_aws(&aws)?)
    }
}

/// 0 when there is one that has codes.
async fn list_devices(account: &Account, output: Output) -> anyhow::Result<ExitCode> {
    let devices = account.builder().await?.find_devices().await?;
    let usable: Vec<_> = devices.usable.iter().map(MfaSerial::as_str).collect();
    let fields = json!({
        "devices": usable,
        "security_keys": devices.security_keys,
        "guessed": devices.guessed,
    });
    output.object("devices", &fields);
    let remark = if devices.guessed {
        " (a GUESS from the user's name: the user may not list devices)"
    } else {
        ""
    };
    for serial in usable {
        output.say_to_people(&format!("{serial}{remark}"));
    }
    for serial in &devices.security_keys {
        output.say_to_people(&format!(
            "{serial} (a passkey or security key: it does not work with STS)"
        ));
    }
    Ok(ExitCode::from(u8::from(devices.usable.is_empty())))
}

impl Profile {
    async fn provider(&self, code: &Code) -> anyhow::Result<MfaProvider> {
        let mut builder = self
            .account
            .builder()
            .await?
            .terminal(TerminalPrompt::new().hide_code(code.hide_code))
            .strategy(match self.strategy {
                Spend::Auto => Strategy::Auto,
                Spend::Session => Strategy::Session,
                Spend::Direct => Strategy::Direct,
            })
            .cli_cache(match self.cli_cache {
                Cache::Off => CliCache::Off,
                Cache::Read => CliCache::Read,
                Cache::ReadWrite => CliCache::ReadWrite,
            });
        if let Some(serial) = &self.mfa_serial {
            builder = device(builder, serial).await?;
        }
        if let Some(code) = &code.mfa_code {
            builder = builder.code(mfa_code(code)?);
        }
        let duration = self.duration.map(Duration::from_secs);
        match (&self.role_arn, duration) {
            (Some(arn), duration) => {
                let mut role = RoleSpec::new(arn);
                role.duration = duration;
                builder = builder.role(role);
            }
            (None, Some(duration)) => builder = builder.session_duration(duration),
            (None, None) => {}
        }
        Ok(builder.build()?)
    }
}

/// What there is to know of a session, without its secrets.
fn show(output: Output, session: &SessionInfo) {
    let kind = match session.kind {
        SessionKind::Mfa => "mfa",
        SessionKind::Role => "role",
        SessionKind::RoleWithCode => "role_with_code",
        SessionKind::RoleWithoutMfa => "role_without_mfa",
        _ => "configured",
    };
    let source = match session.source {
        SessionSource::Cache => "cache",
        SessionSource::CliCache => "cli_cache",
        _ => "fresh",
    };
    let fields = json!({
        "kind": kind,
        "source": source,
        "account": session.account,
        "arn": session.arn,
        "access_key_id": session.access_key_id,
        "expires": session.expires.and_then(date),
        "code_needed": session.code_needed.and_then(date),
        "passed_over": session.passed_over,
    });
    output.object("session", &fields);
    let what = match session.kind {
        SessionKind::Mfa => "MFA session".to_owned(),
        SessionKind::Configured => match &session.passed_over {
            Some(profile) => format!(
                "The keys of AWS_ACCESS_KEY_ID, without MFA: they go before profile {profile}, whose device or role is not in use (--profile {profile} uses it)"
            ),
            None => "Credentials as they are configured, without a code".to_owned(),
        },
        _ => format!("Session {}", session.arn.as_deref().unwrap_or("of a role")),
    };
    let until = |time: Option<SystemTime>| time.and_then(date);
    let ends = match (until(session.expires), until(session.code_needed)) {
        (Some(ends), Some(needed)) if ends == needed => format!(" until {ends}"),
        (Some(ends), Some(needed)) => {
            format!(" until {ends}, renewed without a code until {needed}")
        }
        (Some(ends), None) => format!(" until {ends}"),
        _ => String::new(),
    };
    let from = match session.source {
        SessionSource::Cache => " (kept from an earlier login)",
        SessionSource::CliCache => " (from the AWS CLI)",
        _ => "",
    };
    output.say_to_people(&format!("{what}{ends}{from}"));
}

async fn export(provider: &MfaProvider, format: Export) -> anyhow::Result<String> {
    provider.login().await?;
    let keys = provider.provide_credentials().await;
    let keys = keys.context("no credentials")?;
    Ok(match format {
        Export::Process => {
            let mut body = json!({
                "Version": 1,
                "AccessKeyId": keys.access_key_id(),
                "SecretAccessKey": keys.secret_access_key(),
            });
            if let Some(token) = keys.session_token() {
                body["SessionToken"] = token.into();
            }
            if let Some(expires) = keys.expiry().and_then(date) {
                body["Expiration"] = expires.into();
            }
            body.to_string()
        }
        Export::Env => assignments(Shell::Posix, &keys)?,
        Export::Fish => assignments(Shell::Fish, &keys)?,
        Export::PowerShell => assignments(Shell::PowerShell, &keys)?,
        Export::Cmd => assignments(Shell::Cmd, &keys)?,
    })
}

/// Lines for a shell.
fn assignments(shell: Shell, keys: &Credentials) -> anyhow::Result<String> {
    const TOKEN: &str = "AWS_SESSION_TOKEN";
    let lines = [
        shell.set("AWS_ACCESS_KEY_ID", keys.access_key_id())?,
        shell.set("AWS_SECRET_ACCESS_KEY", keys.secret_access_key())?,
        match keys.session_token() {
            Some(token) => shell.set(TOKEN, token)?,
            None => shell.unset(TOKEN),
        },
    ];
    Ok(lines.join("\n"))
}

/// `2026-11-24T12:00:00Z`
fn date(time: SystemTime) -> Option<String> {
    let whole = DateTime::from_secs(DateTime::from(time).secs());
    whole.fmt(DateFormat::DateTime).ok()
}

/// To standard output; a reader that went away is not an error.
fn print(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}
