//! A program from its start to its exit code.

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::exit;
use crate::output::Output;

/// How long the end may wait for what cannot be called off, such as a name that is being looked up.
/// A session that is still to be terminated takes 3 s at most.
const LEFTOVERS: Duration = Duration::from_secs(5);

/// Runs it on a runtime of its own, and says what went wrong.
///
/// What is said is said on the main thread, also by tasks of [`tokio::task::spawn_local`]: whoever
/// reads it may stop for a while. The tunnel goes on meanwhile on a thread of its own. One is
/// enough, since it carries several times what an agent takes, and spares each message the way from
/// thread to thread.
pub fn run(output: Output, program: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = match Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output.fail(&error.into());
            return ExitCode::FAILURE;
        }
    };
    let code = match LocalSet::new().block_on(&runtime, program) {
        Ok(code) => code,
        Err(error) => {
            output.fail(&error);
            ExitCode::from(exit::code(&error))
        }
    };
    runtime.shutdown_timeout(LEFTOVERS);
    code
}
