//! One task a session: websockets one after the other, and the session's end.

use std::sync::Arc;
use std::time::Duration;

use ssm_protocol::payload::OpenDataChannel;
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::{SessionApi, Ticket};
use crate::config::Limits;
use crate::error::End;
use crate::event::{Event, EventSender};
use crate::link::{Link, LinkEnd};
use crate::net::error::ConnectError;
use crate::net::websocket::{Connector, WebSocket};
use crate::outage::{Outage, Served};
use crate::shared::Shared;
use crate::terminate::TerminateGuard;

/// How long the websocket of a session that is over may take the close frame; nobody waits for the
/// answer to it.
const FAREWELL: Duration = Duration::from_secs(1);

/// How far a session is.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    Connecting,
    Ready { multiplexed: bool },
    Ended(End),
}

pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) api: Arc<dyn SessionApi>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) events: EventSender,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) session_id: String,
    /// A basic session ends with its connection where another can be started for the next one.
    pub(crate) one_connection: bool,
}

/// Tells of the end of a driver that is dropped with its runtime, or panics.
struct EndGuard {
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.shared.end(End::Aborted);
        self.phase.send_if_modified(|phase| {
            let over = matches!(phase, Phase::Ended(_));
            if !over {
                *phase = Phase::Ended(End::Aborted);
            }
            !over
        });
    }
}

impl Driver {
    /// Drives the session to its end.
    pub(crate) async fn run(self, ticket: Ticket, guard: TerminateGuard) {
        let _told = EndGuard {
            shared: self.shared.clone(),
            phase: self.phase.clone(),
        };
        let (end, websocket) = self.drive(ticket).await;
        tracing::debug!(session = %self.session_id, %end, "session ended");
        self.shared.end(end.clone());
        match end {
            // The service said so itself.
            End::ByService { .. } | End::SessionGone => guard.disarm(),
            _ => guard.terminate().await,
        }
        if let Some(mut websocket) = websocket {
            let closed = tokio::time::timeout(FAREWELL, websocket.close(None)).await;
            tracing::debug!(told = matches!(closed, Ok(Ok(()))), "websocket closed");
        }
        self.phase.send_replace(Phase::Ended(end));
    }

    async fn drive(&self, ticket: Ticket) -> (End, Option<WebSocket>) {
        let mut closing = self.closing.clone();
        let client_id = self.shared.lock().forward.uuid();
        let mut stream_url = ticket.stream_url.clone();
        let mut ticket = Some(ticket);
        let mut outage: Option<Outage> = None;
        loop {
            let opened = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return (End::Closed, None),
                opened = self.open(ticket.take(), &mut stream_url, client_id, &mut outage) => opened,
            };
            let websocket = match opened {
                Ok(Some(websocket)) => websocket,
                Ok(None) => continue,
                Err(end) => return (end, None),
            };
            let before = self.shared.lock().forward.progress();
            let opened = self.shared.now();
            let mut last_heard = opened;
            let heard = || {
                last_heard = self.shared.now();
                if let Some(outage) = &mut outage
                    && !outage.resumed
                {
                    outage.resumed = true;
                    self.events.send(Event::Resumed {
                        session_id: self.session_id.clone(),
                        after: last_heard.saturating_duration_since(outage.interrupted_at),
                    });
                }
            };
            let (ended, websocket) = Link::new(self, websocket, heard).run().await;
            match ended {
                LinkEnd::Session(end) => return (end, Some(websocket)),
                LinkEnd::Lost(reason) => {
                    let now = self.shared.now();
                    let served = {
                        let mut inner = self.shared.lock();
                        if let Err(error) = inner.forward.disconnected(now) {
                            return (End::Protocol(error), None);
                        }
                        Served {
                            lived: last_heard.saturating_duration_since(opened),
                            carried: inner.forward.progress().saturating_sub(before),
                            wanted: !inner.forward.is_drained(),
                        }
                    };
                    if outage.as_ref().is_none_or(|outage| outage.resumed) {
                        self.interrupted(&reason);
                    }
                    outage = Some(Outage::after(outage.take(), served, now, reason));
                }
            }
        }
    }

    /// One attempt to open a websocket; `Ok(None)` when another one may help.
    async fn open(
        &self,
        ticket: Option<Ticket>,
        stream_url: &mut String,
        client_id: Uuid,
        outage: &mut Option<Outage>,
    ) -> Result<Option<WebSocket>, End> {
        let ticket = match ticket {
            Some(ticket) => ticket,
            None if self.connector.is_presigned(stream_url) => {
                let lost = outage.take().map(|outage| outage.reason);
                return Err(End::NotResumable {
                    reason: lost.unwrap_or_default(),
                });
            }
            None => match self.resume(outage).await? {
                Some(ticket) => ticket,
                None => return Ok(None),
            },
        };
        // Without a URL, ResumeSession means the one before; another cell's must be used.
        if !ticket.stream_url.trim().is_empty() {
            stream_url.clone_from(&ticket.stream_url);
        }
        let open_data_channel = OpenDataChannel {
            request_id: self.shared.lock().forward.uuid(),
            token: &ticket.token,
            client_id,
            client_version: ssm_protocol::CLIENT_VERSION,
        }
        .to_json();
        match self.connector.open(stream_url, open_data_channel).await {
            Ok(websocket) => Ok(Some(websocket)),
            Err(error) if error.is_retryable() || (self.is_ready() && may_pass(&error)) => {
                tracing::debug!(session = %self.session_id, %error, "websocket not opened");
                let reason = error.to_string();
                match outage {
                    Some(outage) => outage.reason = reason,
                    None => {
                        self.interrupted(&reason);
                        *outage = Some(self.outage(reason));
                    }
                }
                Ok(None)
            }
            Err(error) => Err(End::Connect(Arc::new(error))),
        }
    }

    fn outage(&self, reason: String) -> Outage {
        Outage::new(self.shared.now(), reason)
    }

    fn is_ready(&self) -> bool {
        self.shared.lock().forward.ready().is_some()
    }

    fn interrupted(&self, reason: &str) {
        self.events.send(Event::Interrupted {
            session_id: self.session_id.clone(),
            reason: reason.to_owned(),
        });
    }

    /// How long an outage may last. A session that was never ready is given up sooner: somebody
    /// waits for it, and what is wrong is rather a setting than the network.
    fn budget(&self) -> Option<Duration> {
        if self.is_ready() {
            return self.limits.resume_budget;
        }
        let start = self.limits.handshake_timeout;
        Some(
            self.limits
                .resume_budget
                .map_or(start, |budget| budget.min(start)),
        )
    }

    async fn resume(&self, outage: &mut Option<Outage>) -> Result<Option<Ticket>, End> {
        let outage = outage.get_or_insert_with(|| self.outage("not connected".to_owned()));
        let clock = self.shared.clock();
        let budget = self.budget();
        let Some(wait) = outage.next_wait(clock.now(), budget, fastrand::f64()) else {
            return Err(End::ConnectionLost {
                within: budget.unwrap_or(Duration::MAX),
                last: outage.reason.clone(),
            });
        };
        let wakes = clock.wakes();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // The network may be another one now.
            () = clock.woken(wakes) => outage.network_changed(),
        }
        let call = tokio::time::timeout(
            self.limits.connect_timeout,
            self.api.resume(&self.session_id),
        );
        match call.await {
            Ok(Ok(Some(ticket))) if !ticket.token.is_empty() => Ok(Some(ticket)),
            Ok(Ok(_)) => Err(End::SessionGone),
            Ok(Err(error)) if !error.is_retryable() => Err(End::Api(Arc::new(error))),
            Ok(Err(error)) => {
                outage.reason = error.to_string();
                Ok(None)
            }
            Err(_) => {
                outage.reason = "ResumeSession did not answer".to_owned();
                Ok(None)
            }
        }
    }
}

/// Whether a failure that is final before the session ever worked may be the network's of the
/// moment: a captive portal's certificate, a credential source that cannot be reached.
fn may_pass(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Tls { .. } | ConnectError::Credentials(_)
    )
}
