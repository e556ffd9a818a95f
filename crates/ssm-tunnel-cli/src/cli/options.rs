//! The commands, and what each of them takes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::forward::ForwardOptions;
use crate::commands::{doctor, mfa, rdp, sandbox, sessions, ssh_proxy, targets};

#[derive(Debug, Parser)]
#[command(
    name = "ssm-tunnel",
    version,
    about = "Reach private machines through AWS Systems Manager, under MFA",
    arg_required_else_help = true
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Remote Desktop to a Windows machine
    Rdp(Box<rdp::Options>),
    /// Forward local ports to a machine, or to hosts that it reaches
    Forward(Box<ForwardOptions>),
    /// Carry ssh and scp to a machine, as OpenSSH's ProxyCommand
    SshProxy(Box<ssh_proxy::Options>),
    /// Keep one MFA session a day for every program on this machine
    Mfa(Box<mfa::Options>),
    /// List the machines that a tunnel can lead to
    Targets(Box<targets::Options>),
    /// List your open sessions, or end one
    Sessions(Box<sessions::Options>),
    /// Find out why a tunnel does not open
    Doctor(Box<doctor::Options>),
    /// Take the place of AWS's session-manager-plugin under the AWS CLI
    Plugin(PluginOptions),
    /// Run a stand-in for AWS on this machine
    Sandbox(Box<sandbox::Options>),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write one for each command into a directory
    Man {
        /// Where to write the pages; it is made if need be
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

/// Without `install`, the arguments are the plugin's own and are not read here.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct PluginOptions {
    #[command(subcommand)]
    pub(super) command: PluginCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Put a link to this program (on Windows a copy) where the AWS CLI finds it
    Install {
        /// Where to put it [default: beside this program]
        #[arg(value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}
