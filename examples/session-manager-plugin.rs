//! A drop-in for AWS's session-manager-plugin: `aws ssm start-session` forwards ports through it.
//!
//! ```text
//! cargo build --release --example session-manager-plugin
//! export PATH="$PWD/target/release/examples:$PATH"
//! aws ssm start-session --target i-0123456789abcdef0 \
//!     --document-name AWS-StartPortForwardingSession --parameters portNumber=3389,localPortNumber=17320
//! ```
//!
//! Nothing of the command line, of what is printed, or of other tools that run the AWS CLI changes:
//! arguments, lines and exit codes are those of the reference plugin, `AWS-StartSSHSession` for ssh
//! included. What is different: uploads are not held back, connections survive a lost network, a
//! stalled connection stops no other, and whatever is cut off is reset.
//!
//! Shells and commands are not supported yet, those of `aws ecs execute-command` included: the line
//! printed says so, and the session is ended.
//!
//! What it gets, whom it acts as, where it listens and which variables it reads is in
//! [`ssm_tunnel_cli::plugin`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ssm_tunnel_cli::commands::plugin::main()
}
