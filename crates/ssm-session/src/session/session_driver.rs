//! The task of a session: one websocket after the other, and the session's end.

use std::sync::Arc;
use std::time::Duration;

use ssm_protocol::payload::OpenDataChannel;
use uuid::Uuid;

use super::context::{SessionEvent, SessionTask};
use super::outage::{Outage, Served};
use super::state::{SessionState, Stage};
use super::terminate::TerminateGuard;
use super::websocket_loop::{WebsocketEnd, WebsocketLoop};
use crate::api::{CallError, SessionConnection};
use crate::data_channel::DataChannel;
use crate::end::End;
use crate::net::error::ConnectError;
use crate::net::websocket::WebSocket;

/// Time allowed to send the close frame when a session is over; the reply is not awaited.
const FAREWELL: Duration = Duration::from_secs(1);

/// Ends a session whose task is dropped with its runtime, or panics.
struct EndGuard<C: DataChannel, A: CallError>(Arc<SessionState<C, A>>);

impl<C: DataChannel, A: CallError> Drop for EndGuard<C, A> {
    fn drop(&mut self) {
        self.0.begin_end(End::Aborted);
        self.0.advance(Stage::Ended(End::Aborted));
    }
}

/// Drives a session to its end.
pub(super) async fn run<C: DataChannel, A: CallError>(
    task: SessionTask<C, A>,
    connection: SessionConnection,
    terminate: TerminateGuard<A>,
) {
    let _ended = EndGuard(task.state.clone());
    let (end, websocket) = task.drive(connection).await;
    tracing::debug!(session = %task.id, %end, "session ended");
    task.state.begin_end(end.clone());
    match end {
        // The service said so itself.
        End::ByService { .. } | End::SessionGone => terminate.disarm(),
        _ => terminate.terminate().await,
    }
    if let Some(mut websocket) = websocket {
        let closed = tokio::time::timeout(FAREWELL, websocket.close(None)).await;
        tracing::debug!(sent = matches!(closed, Ok(Ok(()))), "websocket closed");
    }
    task.state.advance(Stage::Ended(end));
}

impl<C: DataChannel, A: CallError> SessionTask<C, A> {
    async fn drive(&self, connection: SessionConnection) -> (End<C::Error, A>, Option<WebSocket>) {
        let client_id = self.state.lock().uuid();
        let mut stream_url = connection.stream_url.clone();
        let mut connection = Some(connection);
        let mut outage: Option<Outage> = None;
        loop {
            let opened = tokio::select! {
                biased;
                () = self.closing().cancelled() => return (End::Closed, None),
                opened = self.open(connection.take(), &mut stream_url, client_id, &mut outage) => opened,
            };
            let websocket = match opened {
                Ok(Some(websocket)) => websocket,
                Ok(None) => continue,
                Err(end) => return (end, None),
            };
            let before = self.state.lock().progress();
            let opened = self.state.now();
            let mut last_heard = opened;
            let heard = || {
                last_heard = self.state.now();
                if let Some(outage) = &mut outage
                    && !outage.resumed
                {
                    outage.resumed = true;
                    self.report(SessionEvent::Resumed {
                        after: last_heard.saturating_duration_since(outage.interrupted_at),
                    });
                }
            };
            let (ended, websocket) = WebsocketLoop::new(self, websocket, heard).run().await;
            match ended {
                WebsocketEnd::Session(end) => return (end, Some(websocket)),
                WebsocketEnd::Lost(reason) => {
                    let now = self.state.now();
                    let served = {
                        let mut channel = self.state.lock();
                        if let Err(error) = channel.disconnected(now) {
                            return (End::Protocol(error), None);
                        }
                        Served {
                            lived: last_heard.saturating_duration_since(opened),
                            carried: channel.progress().saturating_sub(before),
                            wanted: !channel.is_drained(),
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

    /// One attempt to open a websocket; `Ok(None)` when another one may succeed.
    async fn open(
        &self,
        connection: Option<SessionConnection>,
        stream_url: &mut String,
        client_id: Uuid,
        outage: &mut Option<Outage>,
    ) -> Result<Option<WebSocket>, End<C::Error, A>> {
        let connection = match connection {
            Some(connection) => connection,
            None if self.context.connector.is_presigned(stream_url) => {
                let lost = outage.take().map(|outage| outage.reason);
                return Err(End::NotResumable {
                    reason: lost.unwrap_or_default(),
                });
            }
            None => match self.resume(outage).await? {
                Some(connection) => connection,
                None => return Ok(None),
            },
        };
        // Without a URL, ResumeSession means the previous one; one that names another cell must be used.
        if !connection.stream_url.trim().is_empty() {
            stream_url.clone_from(&connection.stream_url);
        }
        let open_data_channel = OpenDataChannel {
            request_id: self.state.lock().uuid(),
            token: &connection.token,
            client_id,
            client_version: ssm_protocol::CLIENT_VERSION,
        }
        .to_json();
        let opened = self.context.connector.open(stream_url, open_data_channel);
        match opened.await {
            Ok(websocket) => Ok(Some(websocket)),
            Err(error) if error.is_retryable() || (self.is_ready() && may_pass(&error)) => {
                tracing::debug!(session = %self.id, %error, "websocket not opened");
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
        Outage::new(self.state.now(), reason)
    }

    fn is_ready(&self) -> bool {
        self.state.lock().is_ready()
    }

    fn interrupted(&self, reason: &str) {
        self.report(SessionEvent::Interrupted {
            reason: reason.to_owned(),
        });
    }

    /// How long an outage may last. A session that was never ready is given up sooner: a user is
    /// waiting for it, and the cause is more likely a setting than the network.
    fn budget(&self) -> Option<Duration> {
        let timeouts = &self.context.timeouts;
        if self.is_ready() {
            return timeouts.resume_budget;
        }
        let start = timeouts.handshake;
        Some(
            timeouts
                .resume_budget
                .map_or(start, |budget| budget.min(start)),
        )
    }

    async fn resume(
        &self,
        outage: &mut Option<Outage>,
    ) -> Result<Option<SessionConnection>, End<C::Error, A>> {
        let outage = outage.get_or_insert_with(|| self.outage("not connected".to_owned()));
        let clock = self.state.clock();
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
            self.context.timeouts.connect,
            self.context.api.resume(&self.id),
        );
        match call.await {
            Ok(Ok(Some(connection))) if !connection.token.is_empty() => Ok(Some(connection)),
            Ok(Ok(_)) => Err(End::SessionGone),
            Ok(Err(error)) if !error.is_retryable() => Err(End::Api(error.into_cause())),
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

/// Whether a failure that is permanent before the session was ever ready may be the network's of the
/// moment: a captive portal's certificate, a credential source that cannot be reached.
fn may_pass(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Tls { .. } | ConnectError::Credentials(_)
    )
}
