//! `sessions`: one's own open sessions, and their end.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use ssm_tunnel::{Inventory, OpenSession};

use crate::account::{Account, Login};
use crate::output::Output;
use crate::process::program;

/// The options of `sessions`.
#[derive(Debug, Parser)]
#[command(
    about = "List your open sessions, or end one",
    args_conflicts_with_subcommands = true
)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    account: Account,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Terminate sessions, such as those that a lost machine left open
    End {
        /// Session ids, as `sessions` lists them
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        account: Account,
    },
}

/// Runs it.
pub fn run(options: Options) -> ExitCode {
    let (ids, account) = match options.command {
        Some(Command::End { ids, account }) => (Some(ids), account),
        None => (None, options.account),
    };
    let output = Output::new(account.output);
    program::run(output, async {
        account.start_log()?;
        let login = Login::new(&account).await?;
        let inventory = Inventory::new(login.config()).await?;
        match ids {
            Some(ids) => end(&inventory, &ids, output).await?,
            None => list(&inventory, output).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn list(inventory: &Inventory, output: Output) -> anyhow::Result<()> {
    let sessions = inventory.own_sessions().await?;
    for session in &sessions {
        output.object("open_session", session);
        output.say_to_people(&line(session));
    }
    output.object("sessions", &json!({ "count": sessions.len() }));
    if sessions.is_empty() {
        output.say_to_people("You have no open sessions.");
    }
    Ok(())
}

async fn end(inventory: &Inventory, ids: &[String], output: Output) -> anyhow::Result<()> {
    for id in ids {
        inventory.end_session(id).await?;
        output.object("session_terminated", &json!({ "session_id": id }));
        output.say_to_people(&format!("{id} is terminated."));
    }
    Ok(())
}

/// Id, target, status, start, document and reason, as far as they are known.
fn line(session: &OpenSession) -> String {
    let started = serde_json::to_value(session).ok();
    let started = started.as_ref().and_then(|it| it["started"].as_str());
    let since = started.map(|at| format!("since {at}"));
    let parts = [
        session.target.clone(),
        session.status.clone(),
        since,
        session.document_name.clone(),
        session
            .reason
            .as_ref()
            .map(|it| Value::from(it.as_str()).to_string()),
    ];
    let known: Vec<_> = parts.into_iter().flatten().collect();
    format!("{}: {}", session.id, known.join(", "))
}
