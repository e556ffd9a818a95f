//! `mfa`: one MFA session a day for every program on this machine.

mod export;
mod options;
mod show;

use std::process::ExitCode;

use anyhow::bail;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use serde_json::json;
use ssm_mfa::MfaSerial;
use tokio::runtime::Runtime;

use self::export::{Export, export};
use self::options::{Account, Code, Profile};
use self::show::show;
use crate::output::{Format, Output};

const HELP: &str = "\
Exit codes:
  0  there is a session; logout: it is gone; --list-devices: a device that shows codes was found
  1  otherwise
  2  invalid options";

/// The options of `mfa`.
#[derive(Debug, Parser)]
#[command(
    name = "mfa",
    about = "MFA sessions of AWS for every program on this machine",
    after_help = HELP,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
pub struct Options {
    /// List the MFA devices of the user to whom the profile's keys belong
    #[arg(long)]
    list_devices: bool,
    #[command(flatten)]
    account: Account,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get a session, asking for a code if needed
    Login {
        /// Ask for a code even if there is a session
        #[arg(long)]
        renew: bool,
        #[command(flatten)]
        code: Code,
        #[command(flatten)]
        profile: Profile,
    },
    /// Show the current session; no prompt, no network
    Status {
        #[command(flatten)]
        profile: Profile,
    },
    /// Forget the session (AWS still accepts its credentials until they expire)
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

/// Runs it on the arguments of this process.
pub fn main() -> ExitCode {
    run(Options::parse(), "mfa")
}

/// Runs it; `name` is what the user calls it by.
pub fn run(options: Options, name: &str) -> ExitCode {
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
        // Standard output belongs to the other program.
        Some(Command::Export { profile, .. }) => Output::new(profile.account.output).on_stderr(),
    };
    let ran = Runtime::new().map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            match options.command {
                None => list_devices(&options.account, output).await,
                Some(command) => execute(command, output, name).await,
            }
        })
    });
    match ran {
        Ok(code) => code,
        Err(error) => {
            output.fail(&error);
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command, output: Output, name: &str) -> anyhow::Result<ExitCode> {
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
                None => bail!("there is no session: log in with `{name} login`"),
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

/// Prints to standard output; a closed pipe is not an error.
fn print(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}
