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

use std::process::ExitCode;

fn main() -> ExitCode {
    ssm_tunnel_cli::commands::sandbox::main()
}
