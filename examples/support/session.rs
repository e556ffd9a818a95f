//! A tunnel from its first event to its last.

use std::process::ExitCode;

use anyhow::Context as _;
use ssm_tunnel::{Event, Events, Tunnel};

use crate::launch::Desktop;
use crate::open::or_leave;
use crate::output::Output;
use crate::signals::Signals;
use crate::status::Status;

/// Prints the tunnel's events up to the last.
pub async fn report(mut events: Events, output: Output, session_id: String) {
    while let Some(event) = events.next().await {
        output.event(&event, &session_id);
        if matches!(event, Event::Closed { .. }) {
            break;
        }
    }
}

/// Prints the tunnel's events until it is over, and warns before a lost connection could not be
/// resumed any more. The first Ctrl-C terminates the session, a second one leaves at once.
///
/// # Errors
/// With what ended the tunnel, if that was not asked for.
pub async fn run(tunnel: Tunnel, output: Output, signals: Signals) -> anyhow::Result<ExitCode> {
    run_with(tunnel, None, output, signals).await
}

/// The same with a Remote Desktop client: the tunnel ends with it.
///
/// # Errors
/// With what ended the tunnel, or how the client failed.
pub async fn run_with(
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
    // Why the client failed says more than how the tunnel was closed after it.
    client?;
    end.context("the tunnel ended")?;
    Ok(ExitCode::SUCCESS)
}
