//! One connection through the tunnel.

use std::net::SocketAddr;
use std::sync::Arc;

use ssm_session::CallError;
use tokio::sync::OwnedSemaphorePermit;

use super::context::TunnelContext;
use super::pool::SlotLease;
use crate::event::{Event, EventSender, Outcome};
use crate::stream::{Session, StreamError, StreamHandle};

/// One connection through the tunnel. Dropping it reports its end.
#[derive(Debug)]
pub(crate) struct Connection<A: CallError> {
    pub(crate) stream: StreamHandle<A>,
    session_id: String,
    number: u64,
    pub(crate) outcome: Outcome,
    events: EventSender,
    hold: Hold<A>,
}

/// What a connection holds of its session, and gives back when it is dropped.
#[derive(Debug)]
pub(super) enum Hold<A: CallError> {
    /// Nothing: the first session is held by the tunnel.
    First,
    /// A slot of one of the sessions that connections share.
    Slot(#[expect(dead_code, reason = "held, never read")] SlotLease<A>),
    /// Where a session carries one connection: that session.
    Own(
        #[expect(dead_code, reason = "held, never read")] Arc<Session<A>>,
        #[expect(dead_code, reason = "held, never read")] OwnedSemaphorePermit,
    ),
}

impl<A: CallError> Connection<A> {
    /// Reports it as opened, for a local peer or in process.
    pub(super) fn new(
        context: &TunnelContext<A>,
        session: &Session<A>,
        stream: StreamHandle<A>,
        peer: Option<SocketAddr>,
        hold: Hold<A>,
    ) -> Self {
        let number = context.next_connection();
        context.events.send(Event::ConnectionOpened {
            session_id: session.id().to_owned(),
            connection: number,
            peer,
        });
        Self {
            stream,
            session_id: session.id().to_owned(),
            number,
            outcome: Outcome::Finished,
            events: context.events.clone(),
            hold,
        }
    }

    /// The span of its log lines.
    pub(crate) fn span(&self) -> tracing::Span {
        tracing::info_span!("connection", number = self.number)
    }

    pub(crate) fn failed(&mut self, error: &StreamError<A>) {
        self.outcome = match error {
            StreamError::Refused => Outcome::Refused,
            StreamError::Doubled => Outcome::Doubled,
            StreamError::Reset | StreamError::Ended(_) => Outcome::Reset,
        };
    }
}

impl<A: CallError> Drop for Connection<A> {
    fn drop(&mut self) {
        if matches!(self.hold, Hold::Slot(_)) {
            // Before the event, so that its receiver can count on the slot.
            self.hold = Hold::First;
        }
        let (sent, received) = self.stream.counts();
        self.events.send(Event::ConnectionClosed {
            session_id: std::mem::take(&mut self.session_id),
            connection: self.number,
            sent,
            received,
            outcome: self.outcome,
        });
    }
}
