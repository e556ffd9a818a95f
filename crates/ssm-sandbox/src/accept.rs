//! Accepts the connections of both endpoints, a bounded number at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// After an accept that failed, as it does without file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves each connection as a task of its own; while `most` are being served, more wait to be
/// accepted.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    most: usize,
    mut serve: impl FnMut(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let served = Arc::new(Semaphore::new(most));
    loop {
        let Ok(permit) = served.clone().acquire_owned().await else {
            return;
        };
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let serving = serve(tcp);
        tokio::spawn(async move {
            let _permit = permit;
            serving.await;
        });
    }
}
