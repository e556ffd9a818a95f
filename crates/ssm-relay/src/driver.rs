//! One task a session: websockets one after the other, and the session's end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ssm_protocol::payload::OpenDataChannel;
use tokio::sync::watch;
use uuid::Uuid;

use crate::api::{SessionApi, Ticket};
use crate::backoff::Backoff;
use crate::config::Limits;
use crate::error::End;
use crate::event::{Event, EventSender};
use crate::link::{Link, LinkEnd};
use crate::shared::{Shared, now};
use crate::terminate::TerminateGuard;
use crate::websocket::{Connector, WebSocket};

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

/// Time without a websocket.
struct Outage {
    since: Instant,
    backoff: Backoff,
    reason: String,
}

impl Driver {
    /// Drives the session to its end.
    pub(crate) async fn run(self, ticket: Ticket) {
        let guard = TerminateGuard::new(
            self.api.clone(),
            self.session_id.clone(),
            self.limits.close_timeout,
        );
        let (end, websocket) = self.drive(ticket).await;
        tracing::debug!(session = %self.session_id, %end, "session ended");
        self.shared.end(end.clone());
        match end {
            // The service said so itself.
            End::ByService { .. } | End::SessionGone => guard.disarm(),
            _ => guard.terminate().await,
        }
        if let Some(mut websocket) = websocket {
            let closed =
                tokio::time::timeout(self.limits.close_timeout, websocket.close(None)).await;
            tracing::debug!(clean = matches!(closed, Ok(Ok(()))), "websocket closed");
        }
        self.phase.send_replace(Phase::Ended(end));
    }

    async fn drive(&self, ticket: Ticket) -> (End, Option<WebSocket>) {
        let mut closing = self.closing.clone();
        let client_id = self.shared.lock().forward.uuid();
        let mut ticket = Some(ticket);
        let mut outage: Option<Outage> = None;
        loop {
            let opened = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return (End::Closed, None),
                opened = self.open(ticket.take(), client_id, &mut outage) => opened,
            };
            let websocket = match opened {
                Ok(Some(websocket)) => websocket,
                Ok(None) => continue,
                Err(end) => return (end, None),
            };
            if let Some(outage) = &outage {
                self.events.send(Event::Resumed {
                    session_id: self.session_id.clone(),
                    after: now().saturating_duration_since(outage.since),
                });
            }
            let before = self.shared.lock().forward.progress();
            let (ended, websocket) = Link::new(self, websocket).run().await;
            match ended {
                LinkEnd::Session(end) => return (end, websocket),
                LinkEnd::Lost(reason) => {
                    let progress = {
                        let mut inner = self.shared.lock();
                        inner.forward.disconnected();
                        inner.forward.progress() > before
                    };
                    self.interrupted(&reason);
                    // A websocket over which nothing got through does not end the outage.
                    match &mut outage {
                        Some(outage) if !progress => outage.reason = reason,
                        _ => {
                            outage = Some(Outage {
                                since: now(),
                                backoff: Backoff::new(),
                                reason,
                            })
                        }
                    }
                }
            }
        }
    }

    /// One attempt to open a websocket; `Ok(None)` when another one may help.
    async fn open(
        &self,
        ticket: Option<Ticket>,
        client_id: Uuid,
        outage: &mut Option<Outage>,
    ) -> Result<Option<WebSocket>, End> {
        let ticket = match ticket {
            Some(ticket) => ticket,
            None => match self.resume(outage).await? {
                Some(ticket) => ticket,
                None => return Ok(None),
            },
        };
        let open_data_channel = OpenDataChannel {
            request_id: self.shared.lock().forward.uuid(),
            token: &ticket.token,
            client_id,
            client_version: ssm_protocol::CLIENT_VERSION,
        }
        .to_json();
        match self
            .connector
            .open(&ticket.stream_url, open_data_channel)
            .await
        {
            Ok(websocket) => Ok(Some(websocket)),
            Err(error) if error.is_retryable() => {
                tracing::debug!(session = %self.session_id, %error, "websocket not opened");
                let reason = error.to_string();
                match outage {
                    Some(outage) => outage.reason = reason,
                    None => {
                        self.interrupted(&reason);
                        *outage = Some(Outage {
                            since: now(),
                            backoff: Backoff::new(),
                            reason,
                        });
                    }
                }
                Ok(None)
            }
            Err(error) => Err(End::Connect(Arc::new(error))),
        }
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
        let ready = self.shared.lock().forward.ready().is_some();
        if ready {
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
        let outage = outage.get_or_insert_with(|| Outage {
            since: now(),
            backoff: Backoff::new(),
            reason: "not connected".to_owned(),
        });
        let wait = outage.backoff.next(fastrand::f64());
        let down = now().saturating_duration_since(outage.since);
        if let Some(within) = self.budget()
            && down + wait > within
        {
            return Err(End::ConnectionLost {
                within,
                last: outage.reason.clone(),
            });
        }
        tokio::time::sleep(wait).await;
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
