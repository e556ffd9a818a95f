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
//! # What it gets
//!
//! | argument | what it is |
//! |---|---|
//! | 1 | StartSession's answer, or the name of the environment variable that holds it |
//! | 2 | region |
//! | 3 | `StartSession` |
//! | 4 | profile, may be empty |
//! | 5 | the request's parameters |
//! | 6 | endpoint of Systems Manager, and of no other service |
//!
//! Old versions of the AWS CLI leave out the last three; an empty argument is a missing one.
//!
//! # Whom it acts as
//!
//! The caller: it resumes, terminates and signs with the credentials that started the session. The
//! AWS CLI passes on only the name of its `--profile`, so they are resolved by the CLI's own rules
//! (`--profile` goes before the environment's keys), and of a role the CLI's own session is taken
//! from its cache: the entry counts if it bears the name that the session's id begins with. No MFA
//! code is asked for, whatever the profile says. The module `support::plugin::caller` has the rest.
//!
//! # Where it listens
//!
//! Where the caller asked for (argument 5: `localPortNumber`, or `localConnectionType` and
//! `localUnixSocket`), else on a free port: never where the agent's handshake says, which is another
//! machine's. A document's own default for these parameters therefore does not count.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `SSM_PLUGIN_LOCAL_HOST` | the host to listen on, `localhost` unless set |
//! | `SSM_PLUGIN_SKIP_CLIENT_CONFIGURE` | `true` leaves the data channel's first request unsigned: no credentials are needed until the session is resumed or terminated |
//! | `SSM_TUNNEL_PLUGIN_LOG` | a file to log to, at the levels of `SSM_TUNNEL_LOG` |
//!
//! The exit code is 0 even for a session that failed, as the reference plugin's is: what went wrong
//! is in the last line. Source of all this: `aws/session-manager-plugin`
//! `src/sessionmanagerplugin/session` @61cf1288 and @29db6846, and
//! `awscli/customizations/sessionmanager.py` and `ecs/executecommand.py` of the AWS CLI 1.46 and 2.

use std::env;
use std::process::ExitCode;

use anyhow::Context as _;
use support::options;
use support::plugin::request::{Invocation, Request};
use support::plugin::session::{self, fail, say};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match Invocation::read(&arguments, |name| env::var(name)) {
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
        options::log_to(path.as_ref())?;
    }
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    let outcome = runtime.block_on(session::run(request));
    // Standard input may still be read from, and that cannot be called off.
    runtime.shutdown_background();
    outcome
}
