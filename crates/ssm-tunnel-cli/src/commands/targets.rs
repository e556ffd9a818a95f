//! `targets`: the machines that a tunnel can lead to.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser;
use serde_json::json;
use ssm_tunnel::{Inventory, ManagedNode};

use crate::account::{Account, Login};
use crate::output::{Output, exit};
use crate::process::program;

/// The options of `targets`.
#[derive(Debug, Parser)]
#[command(about = "List the machines that a tunnel can lead to")]
pub struct Options {
    /// Part of an id, name, address or platform, or a whole Name tag; case is ignored
    #[arg(value_name = "PATTERN")]
    pattern: Option<String>,
    #[command(flatten)]
    account: Account,
}

/// Runs it.
pub fn run(options: Options) -> ExitCode {
    let output = Output::new(options.account.output);
    program::run(output, list(options, output))
}

async fn list(options: Options, output: Output) -> anyhow::Result<ExitCode> {
    options.account.start_log()?;
    let login = Login::new(&options.account).await?;
    let pattern = options.pattern.as_deref().filter(|text| !text.is_empty());
    let inventory = Inventory::new(login.config()).await?;
    let list = inventory.managed_nodes(pattern).await?;
    let count = list.nodes.len();
    let matches = |node: &ManagedNode| pattern.is_none_or(|pattern| matches(node, pattern));
    let mut nodes: Vec<_> = list.nodes.into_iter().filter(matches).collect();
    // Those that a tunnel can lead to now come first.
    nodes.sort_by_key(|node| !node.is_online());
    for node in &nodes {
        output.object("target", node);
        output.say_to_people(&node.to_string());
    }
    let summary = json!({ "count": nodes.len(), "complete": list.complete });
    output.object("targets", &summary);
    if !list.complete {
        output.say(&format!(
            "There are more than these {count}: give a Name tag to find another."
        ));
    }
    if nodes.is_empty() {
        let what = match pattern {
            Some(pattern) => format!("none of {count} managed nodes matches {pattern:?}"),
            None => "there are no managed nodes".to_owned(),
        };
        output.fail(&anyhow!(
            "{what}: check the region, and that the machine's SSM agent runs and is registered"
        ));
        return Ok(ExitCode::from(exit::UNKNOWN_TARGET));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the pattern is part of anything that is known of the node.
fn matches(node: &ManagedNode, pattern: &str) -> bool {
    let pattern = pattern.to_lowercase();
    let known = [
        Some(&node.id),
        node.name.as_ref(),
        node.computer_name.as_ref(),
        node.ip_address.as_ref(),
        node.platform_type.as_ref(),
        node.platform_name.as_ref(),
    ];
    known
        .into_iter()
        .flatten()
        .any(|text| text.to_lowercase().contains(&pattern))
}
