//! What a program prints: lines for people, or one JSON object a line.

use std::io::{self, Write as _};

use serde::Serialize;
use ssm_tunnel::Event;

use super::events::{is_problem, json, text};
use super::{Format, exit, status};

/// Prints to standard output, unless another program owns it. A closed pipe is not an error.
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

    /// In text mode, print only the events that report a problem.
    pub fn problems_only(self) -> Self {
        Self {
            problems_only: true,
            ..self
        }
    }

    /// Text for people, filtered: much of it comes from outside.
    fn line(&self, text: &str, to_stdout: bool) {
        self.put(&ssm_terminal::printable(text), to_stdout);
    }

    /// An object for programs, filtered: they may print its values.
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

    /// Whether output is text on our own standard output, so that a status line may follow it.
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

    /// In JSON mode, one of the program's own events with these fields.
    pub fn object(&self, event: &str, fields: &impl Serialize) {
        if self.format == Format::Json
            && let Ok(line) = serde_json::to_string(&Named { event, fields })
        {
            self.json_line(&line);
        }
    }

    /// Prints a secret that the user asked to see, once.
    pub fn secret(&self, event: &str, what: &str, value: &str) {
        self.object(event, &serde_json::json!({ event: value }));
        if self.format == Format::Text {
            self.line(&format!("{what}: {value}"), true);
        }
    }

    /// Prints an error on standard error, and in JSON mode also as an event.
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

/// One of the program's own events, its name first.
#[derive(Serialize)]
struct Named<'a, T> {
    event: &'a str,
    #[serde(flatten)]
    fields: &'a T,
}
