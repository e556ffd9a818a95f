//! A tunnel's events as text or JSON.

use ssm_tunnel::{Event, Outcome};

/// The event as one JSON object with its session id, `event` first.
pub(super) fn json(event: &Event, session_id: &str) -> Option<String> {
    let line = serde_json::to_string(event).ok()?;
    let value: serde_json::Value = serde_json::from_str(&line).ok()?;
    if value.get("session_id").is_some() {
        return Some(line);
    }
    let id = serde_json::Value::from(session_id);
    Some(format!("{},\"session_id\":{id}}}", line.strip_suffix('}')?))
}

/// Whether the event is worth a line between another program's output.
pub(super) fn is_problem(event: &Event) -> bool {
    match event {
        Event::Ready { message, .. } => !message.is_empty(),
        Event::ConnectionFailed { .. }
        | Event::ConnectionUnidentified { .. }
        | Event::DestinationRefused { .. }
        | Event::Interrupted { .. }
        | Event::Resumed { .. }
        | Event::CredentialsExpiring { .. } => true,
        _ => false,
    }
}

/// The AWS CLI's words where it has any.
pub(super) fn text(event: &Event, session_id: &str) -> Option<String> {
    Some(match event {
        Event::SessionStarted { session_id } => {
            format!("\nStarting session with SessionId: {session_id}")
        }
        Event::Listening { address } => format!(
            "Port {} opened for sessionId {session_id}.\nWaiting for connections...",
            address.port()
        ),
        Event::ListeningOnSocket { path } => format!(
            "Socket {} opened for sessionId {session_id}.\nWaiting for connections...",
            path.display()
        ),
        Event::Ready { message, .. } if !message.is_empty() => message.clone(),
        Event::ConnectionOpened { .. } => {
            format!("\nConnection accepted for session [{session_id}]")
        }
        Event::ConnectionClosed {
            sent,
            received,
            outcome,
            ..
        } => {
            let how = match outcome {
                Outcome::Finished => "Connection closed",
                Outcome::LocalReset => "Connection closed by the local program",
                Outcome::Refused => "Connection refused: nothing listens on the remote port",
                Outcome::Doubled => {
                    "Connection cut off, because the agent lost its own connection and may have passed on bytes twice"
                }
                _ => "Connection cut off",
            };
            format!("{how}: {sent} bytes sent, {received} received")
        }
        Event::ConnectionFailed { reason, .. } => format!("Connection failed: {reason}"),
        Event::ConnectionUnidentified { reason, .. } => {
            format!("Connection not admitted: {reason}")
        }
        Event::DestinationRefused { message, .. } if message.is_empty() => {
            "The agent could not connect to the remote port: check that something listens there"
                .to_owned()
        }
        Event::DestinationRefused { message, .. } => format!("The agent says: {message}"),
        Event::Interrupted { reason, .. } => format!("Connection lost ({reason}), resuming..."),
        Event::CredentialsExpiring { in_seconds, .. } => format!(
            "The credentials end in {} min. What is open stays open, but a connection lost after that \
             cannot be resumed: log in again from another terminal, with the same profile.",
            in_seconds.div_ceil(60)
        ),
        Event::SessionEnded { reason, .. } => {
            format!("Session ended ({reason}); the next connection gets a new one")
        }
        Event::Resumed { after, .. } => format!("Resumed after {:.1} s", after.as_secs_f64()),
        Event::Closed { clean: true, .. } => {
            format!("\n\nExiting session with sessionId: {session_id}.")
        }
        _ => return None,
    })
}
