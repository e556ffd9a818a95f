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
//! invalid options. The code is asked for on the terminal itself, so that standard input and output
//! stay the other program's.

use std::process::ExitCode;

fn main() -> ExitCode {
    ssm_tunnel_cli::commands::mfa::main()
}
