//! `ssm-tunnel forward TARGET SPEC…`

use anyhow::{Context as _, ensure};
use clap::Args;

use crate::commands::forward;
use crate::tunnels::{Spec, target};

#[derive(Debug, Args)]
pub(super) struct ForwardOptions {
    #[arg(value_name = "TARGET", help = target::HELP)]
    machine: Option<String>,
    /// What to forward: PORT, LOCAL:PORT, LOCAL:HOST:PORT or HOST:PORT. LOCAL is a port, an address with
    /// its port, or a Unix socket's path with a `/` (Linux, macOS); without it a free port is taken
    #[arg(value_name = "SPEC")]
    specs: Vec<String>,
    /// The target, as an option like the AWS CLI's
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    #[command(flatten)]
    options: forward::Options,
}

impl ForwardOptions {
    /// The target, and everything that is to be forwarded. With `--target`, every argument is a SPEC.
    ///
    /// # Errors
    /// Names the argument that is missing or cannot be read.
    pub(super) fn read(self) -> anyhow::Result<(String, forward::Options)> {
        let mut specs = self.specs;
        let target = match self.target {
            Some(target) => {
                specs.splice(0..0, self.machine);
                target
            }
            None => self
                .machine
                .context("name the target: an instance id, or a machine's Name tag")?,
        };
        let mut forwards = Vec::new();
        for text in specs {
            let Spec(forward) = text
                .parse()
                .with_context(|| format!("invalid SPEC {text:?}"))?;
            forwards.push(forward);
        }
        let options = self.options.with(forwards);
        ensure!(
            !options.forwards().is_empty(),
            "name what to forward: a SPEC such as 5432, 15432:5432 or 15432:db.internal:5432, or --port-number PORT"
        );
        Ok((target, options))
    }
}
