//! Controls a running session: what it starts with, and the commands that it takes.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use ssm_protocol::payload::SessionProperties;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;

use super::instance::Instance;
use crate::agent::SessionType;

pub(crate) type WebSocket = WebSocketStream<TcpStream>;

/// A session that was just started.
pub(crate) struct NewSession {
    pub(crate) id: String,
    pub(crate) instance: Instance,
    pub(crate) session_type: SessionType,
    pub(crate) properties: SessionProperties,
    pub(crate) control: SessionControl,
}

/// A command to a session's task.
pub(crate) enum Command {
    /// A client's websocket; it replaces the one before.
    Attach(Box<WebSocket>),
    /// Close the websocket with 1000 "Bye"; the session continues.
    Bye,
    /// Drop the connection without a close frame; the session continues.
    Cut,
    /// Stop, or resume, reading and writing the websocket.
    Silent(bool),
    /// TerminateSession.
    Terminate,
    /// The agent disappears without notice.
    Vanish,
    /// Break the agent's websocket while it acknowledges the next port data.
    BreakAgent,
    /// The agent sends these bytes as port data.
    SendRaw(Bytes),
    /// The agent completes a handshake that it held back.
    ReleaseHandshake,
}

/// Sends commands to a session's task.
#[derive(Debug, Clone)]
pub(crate) struct SessionControl {
    sender: mpsc::UnboundedSender<Command>,
    receiver: Arc<Mutex<Option<mpsc::UnboundedReceiver<Command>>>>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Command")
    }
}

impl SessionControl {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            sender,
            receiver: Arc::new(Mutex::new(Some(receiver))),
        }
    }

    /// The task's end, once.
    pub(crate) fn take_receiver(&self) -> Option<mpsc::UnboundedReceiver<Command>> {
        self.receiver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Sends a command to the task; does nothing once the task has ended.
    pub(crate) fn send(&self, command: Command) {
        let _ = self.sender.send(command);
    }

    pub(crate) fn terminate(&self) {
        self.send(Command::Terminate);
    }
}
