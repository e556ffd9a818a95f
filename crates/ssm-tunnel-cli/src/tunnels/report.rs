//! Prints a tunnel's events.

use ssm_tunnel::{Event, Events};

use crate::output::Output;

/// Prints the tunnel's events, including the last.
pub async fn report(mut events: Events, output: Output, session_id: String) {
    while let Some(event) = events.next().await {
        output.event(&event, &session_id);
        if matches!(event, Event::Closed { .. }) {
            break;
        }
    }
}
