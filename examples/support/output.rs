//! What an example prints: the AWS CLI's lines, or the library's events as JSON.

use std::io::{self, Write as _};

use ssm_tunnel::{Event, Outcome};

use crate::options::Format;

/// Prints to standard output; a reader that went away is not an error.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// In the format asked for.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// A line for people: standard output in text mode, standard error in JSON mode.
    pub fn say(&self, text: &str) {
        let _ = match self.format {
            Format::Text => writeln!(io::stdout(), "{text}"),
            Format::Json => writeln!(io::stderr(), "{text}"),
        };
        let _ = io::stdout().flush();
    }

    /// What went wrong, on standard error; in JSON mode also an event of its own.
    pub fn fail(&self, error: &anyhow::Error) {
        if self.format == Format::Json {
            let event = serde_json::json!({ "event": "error", "message": format!("{error:#}") });
            let _ = writeln!(io::stdout(), "{event}");
        }
        let _ = writeln!(io::stderr(), "error: {error:#}");
    }

    /// One event of the tunnel.
    pub fn event(&self, event: &Event, session_id: &str) {
        match self.format {
            Format::Json => {
                if let Ok(line) = serde_json::to_string(event) {
                    let _ = writeln!(io::stdout(), "{line}");
                    let _ = io::stdout().flush();
                }
            }
            Format::Text => {
                if let Some(text) = text(event, session_id) {
                    self.say(&text);
                }
            }
        }
    }
}

/// The AWS CLI's words where it has any.
fn text(event: &Event, session_id: &str) -> Option<String> {
    Some(match event {
        Event::SessionStarted { session_id } => {
            format!("\nStarting session with SessionId: {session_id}")
        }
        Event::Listening { address } => format!(
            "Port {} opened for sessionId {session_id}.\nWaiting for connections...",
            address.port()
        ),
        Event::Ready { message, .. } if !message.is_empty() => message.clone(),
        Event::ConnectionOpened { peer: Some(_), .. } => {
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
                _ => "Connection cut off",
            };
            format!("{how}: {sent} bytes sent, {received} received")
        }
        Event::ConnectionFailed { reason, .. } => format!("Connection failed: {reason}"),
        Event::DestinationRefused { message } if message.is_empty() => {
            "The agent could not connect to the remote port: check that something listens there"
                .to_owned()
        }
        Event::DestinationRefused { message } => format!("The agent says: {message}"),
        Event::Interrupted { reason, .. } => format!("Connection lost ({reason}), resuming..."),
        Event::Resumed { after, .. } => format!("Resumed after {:.1} s", after.as_secs_f64()),
        Event::Closed { clean: true, .. } => {
            format!("\n\nExiting session with sessionId: {session_id}.")
        }
        _ => return None,
    })
}
