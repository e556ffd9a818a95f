use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::event::Event;
use crate::pump;
use crate::relay::Core;

/// Pause after the system had no resources for a connection: it must not spin.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Carries every local connection, until aborted.
pub(crate) async fn accept(listener: TcpListener, core: Arc<Core>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, peer)) => {
                    connections.spawn(carry(tcp, peer, core.clone()));
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

/// The connection was gone before it was accepted.
fn is_about_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn carry(tcp: TcpStream, peer: SocketAddr, core: Arc<Core>) {
    // A reset is all a TCP client can be told; whoever stops halfway must not look like an end.
    let tcp = pump::ResetOnDrop::new(tcp);
    match core.connect(Some(peer)).await {
        Ok(connection) => pump::run(tcp, connection).await,
        Err(error) => {
            core.report(Event::ConnectionFailed {
                peer,
                reason: error.to_string(),
            });
        }
    }
}
