//! What an example prints: the AWS CLI's lines, or the library's events as JSON.

use std::io::{self, Write as _};

use serde::Serialize;
use ssm_tunnel::{Event, Outcome};

use crate::exit;
use crate::options::Format;
use crate::status;

/// Prints to standard output, unless that is somebody else's; a reader that went away is not an
/// error.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    stdout_taken: bool,
    problems_only: bool,
}

impl Output {
    /// In the format asked for.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            stdout_taken: false,
            problems_only: false,
        }
    }

    /// The same on standard error: standard output belongs to another program.
    pub fn on_stderr(self) -> Self {
        Self {
            stdout_taken: true,
            ..self
        }
    }

    /// Of the events only, in text mode, what a user should know who asked for nothing.
    pub fn problems_only(self) -> Self {
        Self {
            problems_only: true,
            ..self
        }
    }

    /// Text for people; much of it is somebody else's.
    fn line(&self, text: &str, to_stdout: bool) {
        self.put(&ssm_terminal::printable(text), to_stdout);
    }

    /// An object for programs, which may print what is in it.
    fn json_line(&self, object: &str) {
        self.put(&ssm_terminal::json(object), true);
    }

    fn put(&self, text: &str, to_stdout: bool) {
        status::aside(|| {
            let _ = if to_stdout && !self.stdout_taken {
                let mut out = io::stdout().lock();
                writeln!(out, "{text}").and_then(|()| out.flush())
            } else {
                writeln!(io::stderr(), "{text}")
            };
        });
    }

    /// Whether lines are for people, and standard output ours: then a status line may follow them.
    pub fn is_for_people(&self) -> bool {
        self.format == Format::Text && !self.stdout_taken
    }

    /// A line for people: standard output in text mode, standard error in JSON mode.
    pub fn say(&self, text: &str) {
        self.line(text, self.format == Format::Text);
    }

    /// A line for people, in text mode only.
    pub fn say_to_people(&self, text: &str) {
        if self.format == Format::Text {
            self.line(text, true);
        }
    }

    /// In JSON mode, an event of the program's own with these fields.
    pub fn object(&self, event: &str, fields: &impl Serialize) {
        if self.format == Format::Json
            && let Ok(line) = serde_json::to_string(&Named { event, fields })
        {
            self.json_line(&line);
        }
    }

    /// A secret that was asked for, once.
    pub fn secret(&self, event: &str, what: &str, value: &str) {
        self.object(event, &serde_json::json!({ event: value }));
        if self.format == Format::Text {
            self.line(&format!("{what}: {value}"), true);
        }
    }

    /// What went wrong, on standard error; in JSON mode also an event of its own.
    pub fn fail(&self, error: &anyhow::Error) {
        let mut message = format!("{error:#}");
        if let Some(hint) = exit::hint(error) {
            message += &format!("\nhint: {hint}");
        }
        self.object("error", &serde_json::json!({ "message": message }));
        self.line(&format!("error: {message}"), false);
    }

    /// One event of the tunnel.
    pub fn event(&self, event: &Event, session_id: &str) {
        match self.format {
            Format::Json => {
                if let Some(line) = json(event, session_id) {
                    self.json_line(&line);
                }
            }
            Format::Text if self.problems_only && !is_problem(event) => {}
            Format::Text => {
                if let Some(text) = text(event, session_id) {
                    self.say(&text);
                }
            }
        }
    }
}

/// An event of a program's own, its name first.
#[derive(Serialize)]
struct Named<'a, T> {
    event: &'a str,
    #[serde(flatten)]
    fields: &'a T,
}

/// The event as one object that says which session it belongs to, `event` first.
fn json(event: &Event, session_id: &str) -> Option<String> {
    let line = serde_json::to_string(event).ok()?;
    let value: serde_json::Value = serde_json::from_str(&line).ok()?;
    if value.get("session_id").is_some() {
        return Some(line);
    }
    let id = serde_json::Value::from(session_id);
    Some(format!("{},\"session_id\":{id}}}", line.strip_suffix('}')?))
}

/// Whether it is worth a line among another program's.
fn is_problem(event: &Event) -> bool {
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
fn text(event: &Event, session_id: &str) -> Option<String> {
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
        Event::DestinationRefused { message } if message.is_empty() => {
            "The agent could not connect to the remote port: check that something listens there"
                .to_owned()
        }
        Event::DestinationRefused { message } => format!("The agent says: {message}"),
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
