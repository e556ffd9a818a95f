//! A tunnel from its first event to its last.

use std::process::ExitCode;

use anyhow::Context as _;
use ssm_tunnel::{Event, Events, Tunnel};

use crate::login::Login;
use crate::output::Output;
use crate::signals::Signals;

/// Exit code of a program that a second Ctrl-C ended at once, as shells count it.
pub const INTERRUPTED: u8 = 130;

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
pub async fn run(
    tunnel: Tunnel,
    output: Output,
    mut signals: Signals,
    login: Option<&Login>,
) -> anyhow::Result<ExitCode> {
    let print = report(tunnel.events(), output, tunnel.session_id().to_owned());
    let end = async {
        tokio::select! {
            end = tunnel.closed() => return end,
            () = signals.next() => {}
        }
        output.say("Terminating session...");
        tokio::select! {
            end = tunnel.close() => end,
            () = signals.next() => {
                output.say("Left at once; the session may stay listed until it times out.");
                std::process::exit(i32::from(INTERRUPTED));
            }
        }
    };
    let warn = async {
        if let Some(login) = login {
            output.say(&login.ends_soon().await);
        }
        std::future::pending().await
    };
    let end = tokio::select! {
        ((), end) = async { tokio::join!(print, end) } => end,
        end = warn => end,
    };
    end.context("the tunnel ended")?;
    Ok(ExitCode::SUCCESS)
}
