//! The restart policy of a tunnel: what follows when its sessions end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssm_session::{Backoff, CallError, StartError};
use tokio::sync::{Notify, watch};

use super::connection::Connection;
use super::context::TunnelContext;
use super::sessions::Sessions;
use crate::error::{End, OpenError};
use crate::event::Event;

/// A session that lived this long was no failed attempt.
const LONG_LIVED: Duration = Duration::from_secs(60);

/// What becomes of a tunnel when its session ends for good: it timed out, was terminated, could not
/// be resumed in time, or the agent broke the protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnSessionEnd {
    /// The tunnel ends too, and reports why.
    #[default]
    Stop,
    /// The session's connections are reset, and the next connection gets a new session. Until then
    /// the tunnel has none, so that an account's idle time-out keeps its meaning. Not before the tunnel
    /// was ready once; and where no session can be started within
    /// [`Limits::resume_budget`](crate::Limits::resume_budget), or none may be
    /// ([`SessionApi::can_start_more`](crate::SessionApi::can_start_more)), the tunnel ends.
    Restart,
}

/// Replaces sessions that ended, as the policy says.
pub(crate) struct Supervisor<A: CallError> {
    context: Arc<TunnelContext<A>>,
    policy: OnSessionEnd,
    current: watch::Sender<Arc<Sessions<A>>>,
    /// A connection waits for a session while the tunnel has no session.
    demand: Notify,
}

impl<A: CallError> Supervisor<A> {
    pub(crate) fn new(
        context: Arc<TunnelContext<A>>,
        policy: OnSessionEnd,
        started: ssm_session::StartedSession<A>,
    ) -> Arc<Self> {
        let first = Sessions::run(&context, started, false);
        Arc::new(Self {
            context,
            policy,
            current: watch::Sender::new(first),
            demand: Notify::new(),
        })
    }

    pub(crate) fn current(&self) -> Arc<Sessions<A>> {
        self.current.borrow().clone()
    }

    pub(crate) fn context(&self) -> &Arc<TunnelContext<A>> {
        &self.context
    }

    /// Waits until connections can be opened.
    pub(crate) async fn ready(&self) -> Result<(), End<A>> {
        let mut current = self.current.subscribe();
        loop {
            let sessions = current.borrow_and_update().clone();
            match sessions.ready().await {
                Err(end) if self.goes_on_after(&sessions, &end) => self.next(&mut current).await?,
                outcome => return outcome,
            }
        }
    }

    /// Opens a connection for a local peer, or in process.
    pub(crate) async fn connect(
        &self,
        peer: Option<SocketAddr>,
    ) -> Result<Connection<A>, OpenError<A>> {
        let mut current = self.current.subscribe();
        loop {
            let sessions = current.borrow_and_update().clone();
            match sessions.connect(peer).await {
                Err(OpenError::Ended(end)) if self.goes_on_after(&sessions, &end) => {
                    self.next(&mut current).await.map_err(OpenError::Ended)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Has new sessions started, and waits for them.
    async fn next(&self, current: &mut watch::Receiver<Arc<Sessions<A>>>) -> Result<(), End<A>> {
        self.demand.notify_one();
        tokio::select! {
            _ = current.changed() => Ok(()),
            end = self.context.ended() => Err(end),
        }
    }

    fn goes_on_after(&self, sessions: &Sessions<A>, end: &End<A>) -> bool {
        self.policy == OnSessionEnd::Restart
            && !self.context.closing.is_cancelled()
            && sessions.may_be_followed()
            && !matches!(end, End::Closed | End::Aborted)
    }

    /// Runs until no further session follows, and returns why the last one ended.
    pub(crate) async fn run(&self) -> End<A> {
        let mut backoff = Backoff::new();
        let mut failing_since = None;
        loop {
            let sessions = self.current();
            let started = self.now();
            let end = sessions.finished().await;
            if !self.goes_on_after(&sessions, &end) {
                return end;
            }
            self.context.events.send(Event::SessionEnded {
                session_id: sessions.session_id().to_owned(),
                end: end.kind(),
                reason: end.to_string(),
            });
            if sessions.was_ready() {
                failing_since = None;
                if self.now().saturating_duration_since(started) >= LONG_LIVED {
                    backoff = Backoff::new();
                }
            }
            let restart = async {
                // No session before there is a connection for it.
                self.demand.notified().await;
                let since = *failing_since.get_or_insert_with(|| self.now());
                self.restart(since, &mut backoff, end).await
            };
            let sessions = tokio::select! {
                biased;
                () = self.context.closing.cancelled() => return End::Closed,
                restarted = restart => match restarted {
                    Ok(sessions) => sessions,
                    Err(end) => return end,
                },
            };
            self.current.send_replace(sessions);
        }
    }

    /// Starts a session, again and again while that may help.
    async fn restart(
        &self,
        since: Instant,
        backoff: &mut Backoff,
        mut end: End<A>,
    ) -> Result<Arc<Sessions<A>>, End<A>> {
        loop {
            let wait = backoff.next(fastrand::f64());
            if self.gives_up(since, wait) {
                return Err(end);
            }
            tokio::time::sleep(wait).await;
            match self.context.start_session().await {
                Ok(started) => return Ok(Sessions::run(&self.context, started, true)),
                Err(StartError::Api(error)) if error.is_retryable() => {
                    tracing::warn!(%error, "no new session yet");
                    end = End::Api(error.into_cause());
                }
                Err(StartError::Api(error)) => return Err(End::Api(error.into_cause())),
                Err(_) => return Err(End::Aborted),
            }
        }
    }

    fn gives_up(&self, since: Instant, wait: Duration) -> bool {
        let down = self.now().saturating_duration_since(since);
        let budget = self.context.limits.resume_budget;
        budget.is_some_and(|within| down.saturating_add(wait) > within)
    }

    fn now(&self) -> Instant {
        self.context.session.clock().now()
    }
}

impl<A: CallError> fmt::Debug for Supervisor<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("limits", &self.context.limits)
            .finish_non_exhaustive()
    }
}
