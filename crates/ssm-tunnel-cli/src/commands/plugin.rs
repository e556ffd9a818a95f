//! `session-manager-plugin`: what the AWS CLI starts. [`crate::plugin`] says what it gets and does.

use std::env;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::account::log::log_to;
use crate::plugin::request::{Invocation, Request};
use crate::plugin::session::{self, fail, say};

/// Runs it on the arguments of this process.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    run(&arguments)
}

/// Runs it on these, of which the first is the program's name.
pub fn run(arguments: &[String]) -> ExitCode {
    match Invocation::read(arguments, |name| env::var(name)) {
        Ok(Invocation::Installed) => say(
            "\nssm-tunnel's session-manager-plugin was installed successfully: the AWS CLI can use it.\n",
        ),
        Ok(Invocation::Version) => say(ssm_tunnel::PLUGIN_VERSION),
        Ok(Invocation::Unknown(first)) => say(&format!(
            "\nUnknown operation {first}: this program is for the AWS CLI; --version shows its version.\n"
        )),
        Ok(Invocation::InvalidOperation) => say("Invalid Operation"),
        Ok(Invocation::Start(request)) => {
            if let Err(error) = start(*request) {
                fail(&error);
            }
        }
        Err(error) => fail(&error),
    }
    ExitCode::SUCCESS
}

fn start(request: Request) -> anyhow::Result<()> {
    if let Some(path) = env::var_os("SSM_TUNNEL_PLUGIN_LOG") {
        log_to(path.as_ref())?;
    }
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    let outcome = runtime.block_on(session::run(request));
    // A read from standard input may be pending, and cannot be cancelled.
    runtime.shutdown_background();
    outcome
}
