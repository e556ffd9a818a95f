//! Runs a program to its exit code.

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::output::{Output, exit};

/// How long shutdown waits for work that cannot be cancelled, such as a DNS lookup. Terminating a
/// session takes 3 s at most.
const LEFTOVERS: Duration = Duration::from_secs(5);

/// Runs a program on its own runtime, and prints its error.
///
/// All output is written on the main thread, including that of [`tokio::task::spawn_local`] tasks,
/// because its reader may stop reading for a while; the tunnel continues on a worker thread. One
/// worker is enough: it carries several times what an agent accepts, and messages need not cross
/// threads.
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
