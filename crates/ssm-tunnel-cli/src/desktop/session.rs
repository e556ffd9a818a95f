//! Runs an open tunnel until it ends, with a Remote Desktop client beside it.

use std::process::ExitCode;

use anyhow::Context as _;
use ssm_tunnel::Tunnel;

use super::launch::Desktop;
use crate::output::{Output, Status};
use crate::process::Signals;
use crate::tunnels::{or_leave, report};

/// Prints the tunnel's events until it ends. If there is a Remote Desktop client, the tunnel ends
/// when the client does. The first Ctrl-C terminates the session, a second one exits at once.
///
/// # Errors
/// What ended the tunnel, unless the user did, or how the client failed.
pub async fn run(
    tunnel: Tunnel,
    mut desktop: Option<Desktop>,
    output: Output,
    mut signals: Signals,
) -> anyhow::Result<ExitCode> {
    let print = report(tunnel.events(), output, tunnel.session_id());
    let mut client = Ok(());
    let asks = desktop.as_ref().is_some_and(Desktop::uses_terminal);
    let end = async {
        let desktop = async {
            match &mut desktop {
                Some(desktop) => desktop.ended(&tunnel).await,
                None => std::future::pending().await,
            }
        };
        let status = async {
            if output.is_for_people() && !asks {
                Status::show().follow(&[&tunnel]).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = tunnel.closed() => return end,
            () = status => {}
            () = signals.next() => {}
            ended = desktop => client = ended,
        }
        output.say("Terminating session...");
        or_leave(tunnel.close(), output, &mut signals).await
    };
    let ((), end) = tokio::join!(print, end);
    if let Some(desktop) = desktop {
        desktop.end();
    }
    // The client's failure explains more than the closing of the tunnel after it.
    client?;
    end.context("the tunnel ended")?;
    Ok(ExitCode::SUCCESS)
}
