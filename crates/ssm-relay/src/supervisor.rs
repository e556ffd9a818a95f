//! A tunnel over its whole life: its sessions one after the other, its clock, its credentials.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::api::{ApiError, Ticket};
use crate::backoff::Backoff;
use crate::clock::TICK;
use crate::error::{End, OpenError};
use crate::event::Event;
use crate::listener::{self, Listener};
use crate::relay::{Connection, OnSessionEnd, Parts, Sessions, lock};
use crate::terminate::TerminateGuard;

/// How long before their end credentials are asked for again, and warned of.
const EXPIRY_WARNING: Duration = Duration::from_secs(600);
/// Between two times that it is asked.
const BETWEEN_CHECKS: Duration = Duration::from_secs(60);
/// How long the provider may take for that.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(60);
/// A session that lived so long was no failed attempt.
const LONG_LIVED: Duration = Duration::from_secs(60);

pub(crate) struct Supervisor {
    parts: Parts,
    policy: OnSessionEnd,
    current: watch::Sender<Arc<Sessions>>,
    /// Somebody waits for a session where there is none.
    demand: Notify,
    closing: watch::Sender<bool>,
    ended: watch::Sender<Option<End>>,
    /// What accepts local connections; `None` once the tunnel is over.
    accepting: Mutex<Option<JoinSet<()>>>,
    /// The end of credentials that was warned of already.
    warned: Mutex<Option<SystemTime>>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("limits", &self.parts.limits)
            .finish_non_exhaustive()
    }
}

/// StartSession, in a task of its own: when the caller gives up waiting, a session that is started
/// all the same is terminated.
///
/// What the call may take is the [`SessionApi`](crate::SessionApi)'s to bound.
pub(crate) async fn begin(parts: &Parts) -> Result<(Ticket, TerminateGuard), ApiError> {
    let (api, timeout) = (parts.api.clone(), parts.limits.close_timeout);
    let call = tokio::spawn(async move {
        let ticket = api.start().await?;
        let guard = TerminateGuard::new(api, ticket.session_id.clone(), timeout);
        Ok((ticket, guard))
    });
    match call.await {
        Ok(outcome) => outcome,
        // With its runtime, or in a panic.
        Err(error) => Err(ApiError::fatal(format!(
            "StartSession did not end: {error}"
        ))),
    }
}

impl Supervisor {
    pub(crate) fn new(parts: Parts, policy: OnSessionEnd, first: Arc<Sessions>) -> Arc<Self> {
        Arc::new(Self {
            parts,
            policy,
            current: watch::Sender::new(first),
            demand: Notify::new(),
            closing: watch::Sender::new(false),
            ended: watch::Sender::new(None),
            accepting: Mutex::new(Some(JoinSet::new())),
            warned: Mutex::new(None),
        })
    }

    pub(crate) fn current(&self) -> Arc<Sessions> {
        self.current.borrow().clone()
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
        self.current().close();
    }

    /// Accepts local connections until the tunnel is over; if it is, the listener is closed.
    pub(crate) fn accept(self: &Arc<Self>, listener: Listener) {
        let accept = listener::accept(listener, self.clone());
        if let Some(accepting) = &mut *lock(&self.accepting) {
            accepting.spawn(accept);
        }
    }

    pub(crate) async fn closed(&self) -> End {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(end)) => end.clone(),
            _ => End::Aborted,
        }
    }

    /// Waits until connections can be opened.
    pub(crate) async fn ready(&self) -> Result<(), End> {
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
    pub(crate) async fn connect(&self, peer: Option<SocketAddr>) -> Result<Connection, OpenError> {
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

    /// Has a new session started, and waits for it.
    async fn next(&self, current: &mut watch::Receiver<Arc<Sessions>>) -> Result<(), End> {
        self.demand.notify_one();
        tokio::select! {
            _ = current.changed() => Ok(()),
            end = self.closed() => Err(end),
        }
    }

    fn goes_on_after(&self, sessions: &Sessions, end: &End) -> bool {
        self.policy == OnSessionEnd::Restart
            && !*self.closing.borrow()
            && sessions.may_be_followed()
            && !matches!(end, End::Closed | End::Aborted)
    }

    /// Runs until the tunnel is over.
    pub(crate) async fn run(self: Arc<Self>) {
        let guard = EndGuard(&self);
        let mut watching = JoinSet::new();
        watching.spawn(watch_over(Arc::downgrade(&self)));
        let end = self.sessions().await;
        let accepting = lock(&self.accepting).take();
        // Its ports and sockets are free when the tunnel is over.
        for mut tasks in accepting.into_iter().chain([watching]) {
            tasks.shutdown().await;
        }
        guard.0.end(end);
    }

    fn end(&self, end: End) {
        self.ended.send_if_modified(|ended| {
            if ended.is_some() {
                return false;
            }
            self.parts.events.send(Event::Closed {
                end: end.kind(),
                reason: end.to_string(),
                clean: end.is_clean(),
            });
            *ended = Some(end);
            true
        });
    }

    async fn sessions(&self) -> End {
        let mut backoff = Backoff::new();
        let mut failing_since = None;
        let mut closing = self.closing.subscribe();
        loop {
            let sessions = self.current();
            let started = self.now();
            let mut end = sessions.finished().await;
            if !self.goes_on_after(&sessions, &end) {
                return end;
            }
            self.parts.events.send(Event::SessionEnded {
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
            // Nobody needs a session before there is a connection for it.
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => return End::Closed,
                () = self.demand.notified() => {}
            }
            let since = *failing_since.get_or_insert_with(|| self.now());
            let sessions = loop {
                let wait = backoff.next(fastrand::f64());
                if self.gives_up(since, wait) {
                    return end;
                }
                let attempt = async {
                    tokio::time::sleep(wait).await;
                    begin(&self.parts).await
                };
                let begun = tokio::select! {
                    _ = closing.wait_for(|closing| *closing) => return End::Closed,
                    begun = attempt => begun,
                };
                match begun {
                    Ok((ticket, guard)) => break Sessions::start(&self.parts, ticket, guard, true),
                    Err(error) if error.is_retryable() => {
                        tracing::warn!(%error, "no new session yet");
                        end = End::Api(Arc::new(error));
                    }
                    Err(error) => return End::Api(Arc::new(error)),
                }
            };
            self.current.send_replace(sessions.clone());
            if *self.closing.borrow() {
                sessions.close();
            }
        }
    }

    fn gives_up(&self, since: Instant, wait: Duration) -> bool {
        let down = self.now().saturating_duration_since(since);
        let budget = self.parts.limits.resume_budget;
        budget.is_some_and(|within| down.saturating_add(wait) > within)
    }

    fn now(&self) -> Instant {
        self.parts.clock.now()
    }

    /// Warns once of credentials that end soon and are not renewed.
    async fn check_credentials(self: Arc<Self>, expiry: SystemTime) {
        let signer = self.parts.connector.signer();
        let renewed = async { signer?.renewed_expiry().await };
        let renewed = tokio::time::timeout(PROVIDER_TIMEOUT, renewed).await;
        if renewed.is_ok_and(|renewed| renewed.is_some_and(|renewed| renewed > expiry)) {
            return;
        }
        let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
        let unix = expiry.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.parts.events.send(Event::CredentialsExpiring {
            expires_at: unix.as_secs(),
            in_seconds: left.as_secs(),
        });
    }

    /// The end of the credentials, if it is near and was not looked at yet.
    fn expiry_to_check(&self) -> Option<SystemTime> {
        let expiry = self.parts.connector.signer()?.expiry()?;
        let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
        let near = left <= EXPIRY_WARNING;
        let mut warned = lock(&self.warned);
        (near && warned.replace(expiry) != Some(expiry)).then_some(expiry)
    }
}

/// Ends the tunnel when its task is dropped with its runtime, or panics.
struct EndGuard<'a>(&'a Supervisor);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.end(End::Aborted);
    }
}

/// Notices that the machine slept, and that credentials end.
async fn watch_over(tunnel: Weak<Supervisor>) {
    let mut wakes = 0;
    let mut checked: Option<Instant> = None;
    loop {
        tokio::time::sleep(TICK).await;
        let Some(tunnel) = tunnel.upgrade() else {
            return;
        };
        let now = tunnel.now();
        if std::mem::replace(&mut wakes, tunnel.parts.clock.wakes()) != wakes {
            tracing::debug!("the machine slept");
            tunnel.current().wake();
        }
        // Some providers start a program each time they are asked.
        let due = checked.is_none_or(|at| now.saturating_duration_since(at) >= BETWEEN_CHECKS);
        if due && let Some(expiry) = tunnel.expiry_to_check() {
            checked = Some(now);
            tokio::spawn(tunnel.check_credentials(expiry));
        }
    }
}
