//! A program from its start to its exit code.

use std::process::ExitCode;
use std::time::Duration;

use crate::exit;
use crate::output::Output;

/// How long the end may wait for what cannot be called off, such as a name that is being looked up.
/// A session that is still to be terminated takes 3 s at most.
const LEFTOVERS: Duration = Duration::from_secs(5);

/// Runs it on a runtime of its own, and says what went wrong.
pub fn run(output: Output, program: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.fail(&error.into());
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(program) {
        Ok(code) => code,
        Err(error) => {
            output.fail(&error);
            ExitCode::from(exit::code(&error))
        }
    };
    runtime.shutdown_timeout(LEFTOVERS);
    code
}
