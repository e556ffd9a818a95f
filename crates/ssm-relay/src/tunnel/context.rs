//! What all sessions and connections of a tunnel share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ssm_forward::PortForward;
use ssm_session::{CallError, SessionContext, SessionEvent, StartError, StartedSession};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::End;
use crate::event::{Event, EventSender};
use crate::limits::Limits;
use crate::stream::{ForwardChannel, ForwardReport, Session};

/// What all sessions and connections of a tunnel share.
pub(crate) struct TunnelContext<A: CallError> {
    pub(crate) session: SessionContext<A>,
    pub(crate) limits: Limits,
    pub(crate) events: EventSender,
    /// Cancelled when the tunnel is to be closed; each session has a child.
    pub(crate) closing: CancellationToken,
    ended: watch::Sender<Option<End<A>>>,
    next_connection: AtomicU64,
}

impl<A: CallError> TunnelContext<A> {
    pub(crate) fn new(session: SessionContext<A>, limits: Limits, events: EventSender) -> Self {
        Self {
            session,
            limits,
            events,
            closing: CancellationToken::new(),
            ended: watch::Sender::new(None),
            next_connection: AtomicU64::new(1),
        }
    }

    /// Counts from 1.
    pub(super) fn next_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether more than one session may be started.
    pub(super) fn can_start_more(&self) -> bool {
        self.session.api().can_start_more()
    }

    /// StartSession. A session whose caller gave up waiting is terminated, and not reported.
    pub(crate) async fn start_session(&self) -> Result<StartedSession<A>, StartError<A>> {
        let started = self.session.start().await?;
        self.events.send(Event::SessionStarted {
            session_id: started.session_id().to_owned(),
        });
        Ok(started)
    }

    /// Runs a session that was started.
    pub(super) fn run_session(
        &self,
        started: StartedSession<A>,
        closing: CancellationToken,
    ) -> Session<A> {
        let unix_time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let now = self.session.clock().now();
        let forward = PortForward::new(self.limits.forward(), seed(), now, unix_time);
        let channel = ForwardChannel::new(forward, self.can_start_more());
        let (id, events) = (started.session_id().to_owned(), self.events.clone());
        started.run(channel, closing, move |event| {
            if let Some(event) = translate(&id, event) {
                events.send(event);
            }
        })
    }

    /// The tunnel is over. The first reason counts.
    pub(crate) fn end(&self, end: End<A>) {
        self.ended.send_if_modified(|ended| {
            if ended.is_some() {
                return false;
            }
            self.events.send(Event::Closed {
                end: end.kind(),
                reason: end.to_string(),
                clean: end.is_clean(),
            });
            *ended = Some(end);
            true
        });
    }

    /// Waits until the tunnel is over, and returns why.
    pub(crate) async fn ended(&self) -> End<A> {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(end)) => end.clone(),
            _ => End::Aborted,
        }
    }
}

/// A session's event as one of the tunnel's.
fn translate(session_id: &str, event: SessionEvent<ForwardReport>) -> Option<Event> {
    let session_id = session_id.to_owned();
    Some(match event {
        SessionEvent::Interrupted { reason } => Event::Interrupted { session_id, reason },
        SessionEvent::Resumed { after } => Event::Resumed { session_id, after },
        SessionEvent::Channel(ForwardReport::Ready {
            agent_version,
            multiplexed,
            message,
        }) => Event::Ready {
            session_id,
            agent_version,
            multiplexed,
            message,
        },
        SessionEvent::Channel(ForwardReport::Refused) => Event::DestinationRefused {
            session_id,
            message: String::new(),
        },
        _ => return None,
    })
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    if getrandom::fill(&mut seed).is_err() {
        // Message ids must differ, not be secret.
        seed.fill_with(|| fastrand::u8(..));
    }
    seed
}
