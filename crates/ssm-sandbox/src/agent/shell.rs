//! The agent's shell and command plugins, on an instance without a shell: the session starts as a
//! real one and ends at once (`agent/session/shell/shell.go` @1c217c89).
//!
//! A shell's first output says that the account may not log in, a non-interactive command's that it
//! could not be started; then the session ends with the text that agents give for a command that
//! did not start.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::config::{AgentConfig, SessionType};

/// The reader of the pseudo-terminal starts this long after the session.
const FIRST_OUTPUT: Duration = Duration::from_secs(1);
/// The agent waits this long for acknowledgements before it ends the session.
const DRAIN: Duration = Duration::from_secs(2);
/// What `nologin` prints.
const NO_LOGIN: &str = "This account is currently not available.\r\n";
const NOT_STARTED: &str = "Unable to start command: this instance has no shell";

/// One shell or command.
#[derive(Debug)]
pub(super) struct Shell {
    /// What it prints.
    output: Bytes,
    /// The session's last text.
    end: String,
    prints_at: Instant,
    /// Its pseudo-terminal is open: input is accepted.
    started: bool,
    printed_at: Option<Instant>,
}

impl Shell {
    /// The shell of a session; `None` for a port session.
    pub(super) fn new(config: &AgentConfig, now: Instant) -> Option<Self> {
        let has_command = config
            .properties
            .value("command")
            .is_some_and(|command| !command.trim().is_empty());
        let name = config.session_type.name();
        let refused = || {
            let text = format!("Commands cannot be empty for session type {name}");
            (String::new(), text)
        };
        let (output, end) = match config.session_type {
            SessionType::Port => return None,
            SessionType::StandardStream => (NO_LOGIN.to_owned(), NOT_STARTED.to_owned()),
            _ if !has_command => refused(),
            SessionType::InteractiveCommands => (NO_LOGIN.to_owned(), NOT_STARTED.to_owned()),
            SessionType::NonInteractiveCommands => {
                (format!("{NOT_STARTED}\n"), NOT_STARTED.to_owned())
            }
        };
        let wait = if output.is_empty() {
            Duration::ZERO
        } else {
            FIRST_OUTPUT
        };
        Some(Self {
            output: output.into(),
            end,
            prints_at: now + wait,
            started: false,
            printed_at: None,
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.started
    }

    pub(super) fn wants_transmit(&self) -> bool {
        self.started && !self.output.is_empty()
    }

    pub(super) fn transmit(&mut self, max: usize, now: Instant) -> Bytes {
        let length = self.output.len().min(max);
        let sent = self.output.split_to(length);
        if self.output.is_empty() {
            self.printed_at = Some(now);
        }
        sent
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.printed_at {
            Some(at) => Some(at + DRAIN),
            None => (!self.started).then_some(self.prints_at),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if now >= self.prints_at && !self.started {
            self.started = true;
            if self.output.is_empty() {
                self.printed_at = Some(now);
            }
        }
    }

    /// The text that ends the session, once all output is `acknowledged` or the time for that is up.
    pub(super) fn end(&self, acknowledged: bool, now: Instant) -> Option<&str> {
        let printed_at = self.printed_at?;
        (acknowledged || now >= printed_at + DRAIN).then_some(self.end.as_str())
    }
}
