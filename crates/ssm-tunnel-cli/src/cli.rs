//! The command line of `ssm-tunnel`: which command runs, and with what.

mod forward;
mod help;
mod options;
mod pages;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use self::options::{Cli, Command, PluginCommand};
use crate::commands::{self, doctor, mfa, plugin, rdp, sandbox, sessions, ssh_proxy, targets};
use crate::output::{Format, Output};
use crate::plugin::install::install;

/// The name by which the AWS CLI starts its plugin.
const PLUGIN: &str = "session-manager-plugin";

/// Runs `ssm-tunnel` on the arguments of this process.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    if let Some(arguments) = for_plugin(&arguments) {
        return plugin::run(&arguments);
    }
    let mut command = help::command();
    let matches = command
        .try_get_matches_from_mut(arguments)
        .unwrap_or_else(|error| error.exit());
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => run(cli.command),
        Err(error) => error.format(&mut command).exit(),
    }
}

/// The plugin's arguments, its name first, where this process is to be the plugin: by its own name, or
/// by the command `plugin`, unless that is to install it or to explain itself.
fn for_plugin(arguments: &[OsString]) -> Option<Vec<String>> {
    let text = |argument: &OsString| argument.to_string_lossy().into_owned();
    let (name, rest) = arguments.split_first()?;
    let stem = Path::new(name).file_stem()?;
    if stem.eq_ignore_ascii_case(PLUGIN) {
        return Some(arguments.iter().map(text).collect());
    }
    let (first, rest) = rest.split_first()?;
    let ours = ["install", "help", "--help", "-h"];
    let own = rest
        .first()
        .is_some_and(|it| ours.iter().any(|own| it == own));
    (first == "plugin" && !own).then(|| {
        std::iter::once(PLUGIN.to_owned())
            .chain(rest.iter().map(text))
            .collect()
    })
}

fn run(command: Command) -> ExitCode {
    let printed = match command {
        Command::Rdp(options) => return rdp::run(*options),
        Command::Forward(options) => match options.read() {
            Ok((target, options)) => return commands::forward::run(&target, &options),
            Err(error) => wrong_arguments("forward", &error),
        },
        Command::SshProxy(options) => return ssh_proxy::run(*options),
        Command::Mfa(options) => return mfa::run(*options, "ssm-tunnel mfa"),
        Command::Targets(options) => return targets::run(*options),
        Command::Sessions(options) => return sessions::run(*options),
        Command::Doctor(options) => return doctor::run(*options),
        Command::Sandbox(options) => return sandbox::run(*options),
        Command::Plugin(options) => match options.command {
            PluginCommand::Install { directory } => install(directory.as_deref()),
        },
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { directory } => pages::man(directory.as_deref()),
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Output::new(Format::Text).fail(&error);
            ExitCode::FAILURE
        }
    }
}

/// Ends with the exit code of invalid options.
fn wrong_arguments(name: &str, error: &anyhow::Error) -> ! {
    let program = help::command();
    let found = program.find_subcommand(name).cloned();
    let mut command = found
        .unwrap_or(program)
        .bin_name(format!("ssm-tunnel {name}"));
    let text = format!("{error:#}\n");
    command.error(ErrorKind::ValueValidation, text).exit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin_arguments(line: &str) -> Option<Vec<String>> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        for_plugin(&words)
    }

    #[test]
    fn the_plugin_is_known_by_its_name_and_by_its_command() {
        for (line, expected) in [
            (
                "/usr/bin/session-manager-plugin --version",
                "/usr/bin/session-manager-plugin --version",
            ),
            ("Session-Manager-Plugin.exe", "Session-Manager-Plugin.exe"),
            ("ssm-tunnel plugin", "session-manager-plugin"),
            (
                "ssm-tunnel plugin --version",
                "session-manager-plugin --version",
            ),
            (
                "ssm-tunnel plugin {} eu-west-1 StartSession",
                "session-manager-plugin {} eu-west-1 StartSession",
            ),
        ] {
            let found = plugin_arguments(line).expect(line).join(" ");
            assert_eq!(found, expected);
        }
        for line in [
            "ssm-tunnel",
            "ssm-tunnel plugin install",
            "ssm-tunnel plugin --help",
            "ssm-tunnel rdp plugin",
            "ssm-tunnel --version",
        ] {
            assert_eq!(plugin_arguments(line), None, "{line}");
        }
    }
}
