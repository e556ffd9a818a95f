//! The help: a screen for each command, with examples; the manual says everything.

use clap::builder::Resettable;
use clap::{Arg, Command, CommandFactory as _};

use super::options::Cli;
use crate::output::exit;
use crate::process::command;

/// Two examples for each command.
const EXAMPLES: [(&str, [&str; 2]); 11] = [
    (
        "rdp",
        [
            "rdp my-windows-box --launch",
            "rdp --sandbox          # no account needed",
        ],
    ),
    (
        "forward",
        [
            "forward my-box 15432:db.internal:5432 ./redis.sock:cache.internal:6379",
            "forward my-box db.internal:5432 -- sh -c 'psql -h $SSM_TUNNEL_HOST -p $SSM_TUNNEL_PORT app'",
        ],
    ),
    (
        "ssh-proxy",
        [
            "ssh-proxy i-0123456789abcdef0",
            "ssh -o ProxyCommand='ssm-tunnel ssh-proxy --target %h --port-number %p' ec2-user@i-0123456789abcdef0",
        ],
    ),
    (
        "mfa",
        [
            "mfa login --profile work",
            "mfa export --profile work          # for credential_process",
        ],
    ),
    ("targets", ["targets", "targets windows --output json"]),
    (
        "sessions",
        [
            "sessions --profile work",
            "sessions end taro-0a1b2c3d4e5f67890",
        ],
    ),
    (
        "doctor",
        [
            "doctor my-box",
            "doctor my-box --host db.internal --port-number 5432",
        ],
    ),
    ("plugin", ["plugin install", "plugin install ~/.local/bin"]),
    (
        "sandbox",
        ["sandbox", "sandbox --destination 127.0.0.1:5900 --no-mfa"],
    ),
    (
        "completions",
        [
            "completions bash > ~/.local/share/bash-completion/completions/ssm-tunnel",
            "completions fish > ~/.config/fish/completions/ssm-tunnel.fish",
        ],
    ),
    ("man", ["man | man -l -", "man ~/.local/share/man/man1"]),
];

/// Groups of options, in the order in which the help has them.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Local side",
        &[
            "local_port_number",
            "local_address",
            "expose_to_network",
            "local_socket",
            "same_user_only",
        ],
    ),
    (
        "AWS",
        &[
            "profile",
            "region",
            "mfa_serial",
            "mfa_code",
            "endpoint_url",
            "stream_endpoint",
        ],
    ),
    (
        "Session",
        &[
            "document_name",
            "reason",
            "resume_budget",
            "on_session_end",
            "keep_alive",
        ],
    ),
    (
        "Faults",
        &[
            "resume_url",
            "unpaced",
            "seed",
            "drop",
            "duplicate",
            "reorder",
            "delay",
            "cut_after",
            "bye_after",
            "agent_breaks_after",
        ],
    ),
    ("Output", &["output", "log"]),
];

/// One-line descriptions of options that the manual describes at length.
const SHORT: [(&str, &str); 32] = [
    (
        "machine",
        "Instance id, Name tag, computer name or private IP",
    ),
    ("target", "The target, as an option like the AWS CLI's"),
    (
        "specs",
        "[LOCAL:][HOST:]PORT, such as 5432 or 15432:db.internal:5432",
    ),
    ("forward", "Another SPEC, written [LOCAL=][HOST:]PORT"),
    (
        "host",
        "Host to reach from the target [default: the target]",
    ),
    (
        "rdp_file",
        "Write (or update) a file for Remote Desktop clients",
    ),
    (
        "private_key",
        "Key pair's private key: get the Administrator's password",
    ),
    ("copy_password", "Copy the password to the clipboard"),
    (
        "show_password",
        "Show the password even if stdout is no terminal",
    ),
    (
        "sandbox_destination",
        "The sandbox's destination, instead of a demo",
    ),
    (
        "ready_file",
        "Write the local addresses here once all is ready",
    ),
    ("local_address", "Address to listen on"),
    (
        "expose_to_network",
        "Allow an address that other machines reach",
    ),
    ("local_socket", "Listen on a Unix socket of this user's"),
    ("mfa_serial", "Your MFA device; `auto` finds it"),
    (
        "mfa_code",
        "Its code, or - for standard input [default: ask]",
    ),
    ("endpoint_url", "Systems Manager's and STS's endpoint"),
    ("stream_endpoint", "Data channel's endpoint (VPC endpoint)"),
    (
        "resume_budget",
        "How long to resume a lost connection, or `unlimited`",
    ),
    (
        "keep_alive",
        "Send a message every SECONDS against the idle time-out",
    ),
    ("log", "Append a log (levels by SSM_TUNNEL_LOG)"),
    // `sandbox`.
    (
        "destination",
        "Destination of the instance's ports [default: the same ports of this machine]",
    ),
    (
        "user",
        "A user and their MFA devices; may be repeated [default: taro]",
    ),
    (
        "role",
        "A role and its limits; may be repeated [default: every role]",
    ),
    (
        "instance",
        "Another instance and its properties; may be repeated",
    ),
    (
        "deny",
        "An action that IAM denies, such as ssm:StartSession; may be repeated",
    ),
    ("shell", "The shell that the printed environment is for"),
    (
        "resolves",
        "Address of a name on the instance; may be repeated",
    ),
    (
        "handshake_timeout",
        "How long the agent waits for the client's handshake",
    ),
    (
        "cut_after",
        "Cut the websocket after this many messages, each time",
    ),
    (
        "bye_after",
        "Close the websocket after so long, as the service does hourly",
    ),
    (
        "agent_breaks_after",
        "Break the agent's own websocket after this many messages",
    ),
];

/// The values of an option, where each has a help of its own.
const VALUES: [(&str, &str); 6] = [
    ("cli_cache", "off|read|read-write"),
    ("format", "process|env|fish|powershell|cmd"),
    ("on_session_end", "stop|restart"),
    ("output", "text|json"),
    ("shell", "posix|powershell"),
    ("strategy", "auto|session|direct"),
];

/// The command line, with a help that fits a screen.
pub(super) fn command() -> Command {
    complete(Cli::command(), |arg| {
        let id = arg.get_id().to_string();
        let fixed = id == "shell" && arg.is_positional();
        let short = SHORT.iter().find(|(name, _)| !fixed && *name == id);
        let arg = match short {
            Some((_, text)) => arg.help(*text),
            None => arg,
        };
        // The help of each value would need a paragraph of its own.
        match VALUES.iter().find(|(name, _)| *name == id) {
            Some((_, values)) if !arg.is_positional() => {
                arg.value_name(*values).hide_possible_values(true)
            }
            _ => arg,
        }
    })
}

/// The same with everything there is to say, for the manual.
pub(super) fn manual() -> Command {
    complete(Cli::command(), |arg| arg)
}

fn complete(program: Command, describe: fn(Arg) -> Arg) -> Command {
    let table = format!("{}\n\n{}\n\n{JUDGES}", exit::HELP, command::HELP);
    program
        .after_help("The exit codes and the environment are in `ssm-tunnel --help`; `ssm-tunnel man` has everything.")
        .after_long_help(format!("{table}\n\n{ENVIRONMENT}"))
        .mut_subcommand("forward", |forward| {
            // A SPEC may take its place, which only shows once all arguments are read.
            forward.mut_arg("port_number", |arg| {
                arg.required_unless_present(Resettable::Reset)
            })
        })
        .mut_subcommands(|one| describe_one(one, describe))
}

fn describe_one(command: Command, describe: fn(Arg) -> Arg) -> Command {
    let name = command.get_name().to_owned();
    let examples = EXAMPLES.iter().find(|(of, _)| *of == name);
    let command = command.mut_args(|arg| {
        let id = arg.get_id().to_string();
        let group = GROUPS.iter().find(|(_, ids)| ids.contains(&id.as_str()));
        let arg = match group {
            Some((heading, _)) => arg.help_heading(*heading),
            None => arg,
        };
        describe(arg)
    });
    let command = command.mut_subcommands(|one| describe_one(one, describe));
    match examples {
        Some((_, lines)) => {
            let lines = lines.map(|line| match line.starts_with("ssh -o") {
                true => format!("  {line}"),
                false => format!("  ssm-tunnel {line}"),
            });
            command.after_help(format!("Examples:\n{}", lines.join("\n")))
        }
        None => command.after_help(Resettable::Reset),
    }
}

/// Commands whose exit code answers a question.
const JUDGES: &str = "\
doctor, mfa, plugin and sandbox have fewer:
  0    doctor: nothing failed; mfa: there is a session (logout: none any more); plugin: always
  1    not so, or it could not be found out";

const ENVIRONMENT: &str = "\
Environment:
  AWS_PROFILE, AWS_REGION and the AWS CLI's other variables; HTTPS_PROXY, ALL_PROXY, NO_PROXY, AWS_CA_BUNDLE
  SSM_TUNNEL_MFA_CODE   a code of the MFA device
  SSM_TUNNEL_LOG        levels of --log, such as info or info,ssm_relay=trace (default: debug)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_help_is_consistent_and_fits_a_screen() {
        command().debug_assert();
        manual().debug_assert();
        for name in command().get_subcommands().map(Command::get_name) {
            let asked = ["ssm-tunnel", name, "--help"];
            let help = command().try_get_matches_from(asked).expect_err("its help");
            let text = help.to_string();
            let lines = text.lines().count();
            assert!(lines <= 60, "{name}: {lines} lines\n{text}");
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(125), "{name}: {longest:?}\n{text}");
            assert!(text.contains("Examples:\n  ssm-tunnel "), "{text}");
        }
    }

    #[test]
    fn every_short_text_and_group_names_an_argument_that_exists() {
        let mut program = Cli::command();
        program.build();
        let known: Vec<String> = program
            .get_subcommands()
            .flat_map(|one| one.get_arguments().map(|arg| arg.get_id().to_string()))
            .collect();
        let short = SHORT.iter().map(|(id, _)| *id);
        for id in short.chain(GROUPS.iter().flat_map(|(_, ids)| ids.iter().copied())) {
            assert!(known.iter().any(|it| it == id), "{id}");
        }
    }

    #[test]
    fn the_values_of_an_option_are_all_named() {
        let mut program = command();
        program.build();
        let nested = program.get_subcommands().flat_map(Command::get_subcommands);
        let all = program.get_subcommands().chain(nested);
        for arg in all.flat_map(Command::get_arguments) {
            if arg.is_positional() || !arg.is_hide_possible_values_set() {
                continue;
            }
            let names: Vec<_> = arg.get_possible_values();
            let names: Vec<&str> = names.iter().map(|value| value.get_name()).collect();
            let shown = arg.get_value_names().and_then(<[_]>::first);
            assert_eq!(shown.map(|it| it.as_str()), Some(names.join("|").as_str()));
        }
    }
}
