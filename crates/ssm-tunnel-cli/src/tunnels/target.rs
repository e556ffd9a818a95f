//! The target of a tunnel.

use clap::Args;
use ssm_tunnel::Tunnel;

use crate::output::Output;

/// For `--help`.
pub const HELP: &str = "Instance id, managed node (mi-…), container (ecs:CLUSTER_TASK_RUNTIMEID), or a machine's Name tag, computer name or private IP";

/// The target, as the first argument or by name.
#[derive(Debug, Clone, Args)]
#[group(id = "what", required = true, multiple = false)]
pub struct Target {
    #[arg(value_name = "TARGET", help = HELP)]
    machine: Option<String>,
    /// The target, as an option like the AWS CLI's
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
}

impl Target {
    /// The target as it was given.
    pub fn as_str(&self) -> &str {
        let given = self.machine.as_ref().or(self.target.as_ref());
        given.map(String::as_str).unwrap_or_default()
    }
}

/// Prints which machine a name refers to.
pub fn tell(asked: &str, tunnel: &Tunnel, output: Output) {
    let Some(id) = tunnel.target().filter(|id| *id != asked) else {
        return;
    };
    let found = serde_json::json!({
        "target": asked,
        "id": id,
        "session_id": tunnel.session_id(),
    });
    output.object("target_found", &found);
    output.say_to_people(&format!("{asked} is {id}"));
}
