//! Events of a tunnel.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use ssm_session::EndKind;
use tokio::sync::broadcast;

use crate::stats::Counters;

/// What happens in a tunnel. Serialises as one object with `event` first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// StartSession succeeded.
    SessionStarted {
        /// The session's id.
        session_id: String,
    },
    /// Local connections are accepted. They are held until the session is ready.
    Listening {
        /// The local address.
        address: SocketAddr,
    },
    /// The same on a Unix socket.
    ListeningOnSocket {
        /// The socket's file.
        path: PathBuf,
    },
    /// The handshake with the agent is complete: data flows.
    Ready {
        /// The session's id.
        session_id: String,
        /// The agent's version.
        agent_version: String,
        /// Whether connections share the session. Otherwise each has a session of its own.
        multiplexed: bool,
        /// The account's text for its users; may be empty.
        #[serde(skip_serializing_if = "String::is_empty")]
        message: String,
    },
    /// A local connection, or an in-process stream, was opened.
    ConnectionOpened {
        /// The id of the session that carries it.
        session_id: String,
        /// Its number, from 1.
        connection: u64,
        /// The address of the local program; `None` on a Unix socket, and for an in-process stream.
        peer: Option<SocketAddr>,
    },
    /// A local connection could not be carried and was reset.
    ConnectionFailed {
        /// The address of the local program; `None` on a Unix socket.
        peer: Option<SocketAddr>,
        /// Why.
        reason: String,
    },
    /// A local connection was reset because only this user's are admitted and the system does not show
    /// whose it is. Usually its program had closed it already.
    ConnectionUnidentified {
        /// The address of the local program; `None` on a Unix socket.
        peer: Option<SocketAddr>,
        /// Why its owner is unknown.
        reason: String,
    },
    /// A connection ended.
    ConnectionClosed {
        /// The id of the session that carried it.
        session_id: String,
        /// Its number in [`ConnectionOpened`](Self::ConnectionOpened).
        connection: u64,
        /// Bytes from the local side to the destination.
        sent: u64,
        /// Bytes from the destination to the local side.
        received: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// The websocket was lost. Local connections stay open and wait.
    Interrupted {
        /// The session's id.
        session_id: String,
        /// What happened to the websocket.
        reason: String,
    },
    /// The session goes on over a new websocket, on which the service was heard. Nothing was lost.
    Resumed {
        /// The session's id.
        session_id: String,
        /// How long it was interrupted.
        #[serde(rename = "after_seconds", serialize_with = "seconds")]
        after: Duration,
    },
    /// The agent could not connect to the destination. The tunnel stays open.
    DestinationRefused {
        /// The id of the session whose agent it is.
        session_id: String,
        /// The agent's text; may be empty.
        message: String,
    },
    /// The credentials expire soon, and their provider has no newer ones: a websocket lost after that
    /// cannot be resumed. Log in again before.
    CredentialsExpiring {
        /// When, in seconds since the Unix epoch.
        expires_at: u64,
        /// How many seconds that is from now.
        in_seconds: u64,
    },
    /// A session ended for good and its connections were reset. The tunnel stays, because of
    /// [`OnSessionEnd::Restart`](crate::OnSessionEnd::Restart): the next connection gets a new session.
    SessionEnded {
        /// The session's id.
        session_id: String,
        /// How it ended.
        end: EndKind,
        /// Why.
        reason: String,
    },
    /// The tunnel is over. The last event.
    Closed {
        /// How it ended.
        end: EndKind,
        /// Why.
        reason: String,
        /// Whether it ended in order.
        clean: bool,
    },
    /// The receiver was too slow and missed events.
    Missed {
        /// How many.
        count: u64,
    },
}

/// How one connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// In order, after everything was delivered.
    Finished,
    /// The local side failed or reset it.
    LocalReset,
    /// The destination refused it.
    Refused,
    /// The agent's own websocket broke while bytes were on their way, and the agent may have passed
    /// some of them on twice: the local side was reset. Only with session documents that carry one
    /// connection per session, and not with SSH, which detects that itself.
    Doubled,
    /// The session, or the agent, cut it off: the local side was reset.
    Reset,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Events kept for a receiver that is behind. The memory for them is allocated at once, per tunnel.
const BACKLOG: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    sender: broadcast::Sender<Arc<Event>>,
    counters: Arc<Counters>,
}

impl EventSender {
    pub(crate) fn new() -> (Self, Events) {
        let (sender, receiver) = broadcast::channel(BACKLOG);
        let counters = Arc::default();
        (Self { sender, counters }, Events(receiver))
    }

    pub(crate) fn send(&self, event: Event) {
        self.count(&event);
        // It fails when there is no receiver.
        let _ = self.sender.send(Arc::new(event));
    }

    fn count(&self, event: &Event) {
        match event {
            Event::SessionStarted { .. } => self.counters.session_started(),
            Event::ConnectionOpened { .. } => self.counters.connection_opened(),
            Event::ConnectionClosed { .. } => self.counters.connection_closed(),
            Event::Resumed { .. } => self.counters.session_resumed(),
            _ => {}
        }
    }

    /// The totals, to which streams add bytes.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    pub(crate) fn subscribe(&self) -> Events {
        Events(self.sender.subscribe())
    }
}

/// Receives a tunnel's events in order.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Arc<Event>>);

impl Events {
    /// The next event; `None` after the last. A receiver that is more than 256 events behind gets
    /// [`Event::Missed`] and goes on with the oldest event that is kept. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(Arc::unwrap_or_clone(event)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Missed { count }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
