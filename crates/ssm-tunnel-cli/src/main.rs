//! The program `ssm-tunnel`. What it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    ssm_tunnel_cli::cli::main()
}
