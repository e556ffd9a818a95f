//! Accepts local connections, and carries each through the tunnel.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ssm_session::CallError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::event::{Event, Outcome};
use crate::local::copy::{self, CopyEnd};
use crate::local::{Listener, LocalStream, Owner, ResetOnDrop};
use crate::tunnel::{Connection, Supervisor};

/// Pause after the system had no resources for a connection: it must not spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// The listeners of a tunnel.
#[derive(Debug)]
pub(crate) struct Acceptors {
    /// One task each; `None` once the tunnel is over.
    tasks: Mutex<Option<JoinSet<()>>>,
}

impl Acceptors {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            tasks: Mutex::new(Some(JoinSet::new())),
        })
    }

    /// Accepts on a further listener until the tunnel is over; if it is, the listener is closed.
    pub(crate) fn add<A: CallError>(&self, listener: Listener, tunnel: Arc<Supervisor<A>>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tasks) = &mut *tasks {
            tasks.spawn(accept(listener, tunnel));
        }
    }

    /// Closes all listeners and local connections: their ports and socket files are free afterwards.
    pub(crate) async fn shutdown(&self) {
        let tasks = self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }
}

/// Carries every local connection, until aborted.
async fn accept<A: CallError>(listener: Listener, tunnel: Arc<Supervisor<A>>) {
    let max_connections = tunnel.context().limits.max_connections.max(1);
    let permits = Arc::new(Semaphore::new(max_connections));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // Without a permit the system's own backlog keeps them.
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            (permit, accepted) = next => match accepted {
                Ok((stream, peer)) => {
                    let tunnel = tunnel.clone();
                    let same_user_only = listener.is_same_user_only();
                    connections.spawn(async move {
                        carry(stream, peer, same_user_only, tunnel).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "local connection not accepted");
                    if !is_about_the_peer(&error) {
                        tokio::time::sleep(EXHAUSTED_PAUSE).await;
                    }
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Whether the connection was gone before it was accepted.
fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn carry<A: CallError>(
    stream: LocalStream,
    peer: Option<SocketAddr>,
    same_user_only: bool,
    tunnel: Arc<Supervisor<A>>,
) {
    let send = |event: Event| tunnel.context().events.send(event);
    let owner = match same_user_only {
        true => Owner::of(&stream).await,
        false => Owner::Us,
    };
    // A reset is the only error that a TCP client can see: a task that stops halfway must not look like
    // an orderly end.
    let local = ResetOnDrop::new(stream);
    match owner {
        Owner::Us => {}
        Owner::Other => {
            return send(Event::ConnectionFailed {
                peer,
                reason: "it is not of this user, and only this user's are admitted".to_owned(),
            });
        }
        Owner::Unknown(why) => {
            return send(Event::ConnectionUnidentified {
                peer,
                reason: format!("its owner could not be determined: {why}"),
            });
        }
    }
    match tunnel.connect(peer).await {
        Ok(connection) => {
            let span = connection.span();
            copy(local, connection).instrument(span).await;
        }
        Err(error) => send(Event::ConnectionFailed {
            peer,
            reason: error.to_string(),
        }),
    }
}

/// Runs a connection until either side ends it.
async fn copy<A: CallError>(mut local: ResetOnDrop, mut connection: Connection<A>) {
    match copy::copy(&mut local, &mut connection.stream).await {
        CopyEnd::Finished { local_finished } => {
            connection.outcome = Outcome::Finished;
            drop(connection);
            local.finish(local_finished).await;
        }
        CopyEnd::Local(error) => {
            tracing::debug!(%error, "local connection failed");
            connection.outcome = Outcome::LocalReset;
            connection.stream.reset();
        }
        CopyEnd::Stream(error) => connection.failed(&error),
    }
}
