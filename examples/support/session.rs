//! A tunnel from its first event to its last.

use std::process::ExitCode;

use anyhow::Context as _;
use ssm_tunnel::{Event, Events, Tunnel};

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
pub async fn run(tunnel: Tunnel, output: Output, mut signals: Signals) -> anyhow::Result<ExitCode> {
    let print = report(tunnel.events(), output, tunnel.session_id());
    let end = async {
        let status = async {
            if output.is_for_people() {
                Status::show().follow(&[&tunnel]).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = tunnel.closed() => return end,
            () = status => {}
            () = signals.next() => {}
        }
        output.say("Terminating session...");
        or_leave(tunnel.close(), output, &mut signals).await
    };
    let ((), end) = tokio::join!(print, end);
    end.context("the tunnel ended")?;
    Ok(ExitCode::SUCCESS)
}
