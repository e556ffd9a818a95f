use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;

use super::{Parts, SessionHandle};
use crate::event::{Event, EventSender, Outcome};
use crate::pool::Lease;
use crate::shared::{StreamError, StreamHandle};

/// One connection through the tunnel. Dropping it reports its end.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: StreamHandle,
    number: u64,
    pub(crate) outcome: Outcome,
    events: EventSender,
    place: Place,
}

/// What a connection holds of its session, and gives back when it is dropped.
#[derive(Debug)]
pub(super) enum Place {
    /// The first session, alone.
    First,
    /// One of those that connections are spread over.
    Shared(#[expect(dead_code, reason = "held, never looked at")] Lease),
    /// Where the agent is old: the session that carries nothing else.
    Own(
        #[expect(dead_code, reason = "held, never looked at")] Arc<SessionHandle>,
        #[expect(dead_code, reason = "held, never looked at")] OwnedSemaphorePermit,
    ),
}

impl Connection {
    /// Reports it as opened, for a local peer or in process.
    pub(super) fn new(
        parts: &Parts,
        stream: StreamHandle,
        peer: Option<SocketAddr>,
        place: Place,
    ) -> Self {
        let number = parts.next_connection.fetch_add(1, Ordering::Relaxed);
        parts.events.send(Event::ConnectionOpened {
            connection: number,
            peer,
        });
        Self {
            stream,
            number,
            outcome: Outcome::Finished,
            events: parts.events.clone(),
            place,
        }
    }

    /// For what is logged of it.
    pub(crate) fn span(&self) -> tracing::Span {
        tracing::info_span!("connection", number = self.number)
    }

    pub(crate) fn failed(&mut self, error: &StreamError) {
        self.outcome = match error {
            StreamError::Refused => Outcome::Refused,
            StreamError::Doubled => Outcome::Doubled,
            StreamError::Reset | StreamError::Ended(_) => Outcome::Reset,
        };
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if matches!(self.place, Place::Shared(_)) {
            // Whoever hears of the end may count on the place.
            self.place = Place::First;
        }
        let (sent, received) = self.stream.counts();
        self.events.send(Event::ConnectionClosed {
            connection: self.number,
            sent,
            received,
            outcome: self.outcome,
        });
    }
}
