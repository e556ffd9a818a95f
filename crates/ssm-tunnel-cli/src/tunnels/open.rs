//! Opens a tunnel while listening for signals.

use ssm_tunnel::Tunnel;

use crate::output::{Output, exit};
use crate::process::Signals;

/// Waits for the tunnel to open; `None` if a signal came first. A session that was started in the
/// meantime is terminated; a second signal exits at once.
///
/// # Errors
/// Why it could not be opened.
pub async fn open<E>(
    opening: impl Future<Output = Result<Tunnel, E>>,
    output: Output,
    signals: &mut Signals,
) -> Result<Option<Tunnel>, E> {
    tokio::pin!(opening);
    tokio::select! {
        tunnel = &mut opening => return tunnel.map(Some),
        () = signals.next() => {}
    }
    output.say("Interrupted while the session is being started: waiting to terminate it...");
    let ending = async {
        if let Ok(tunnel) = opening.await {
            // The tunnel is no longer wanted, so its errors do not matter.
            let _ = tunnel.close().await;
        }
    };
    or_leave(ending, output, signals).await;
    Ok(None)
}

/// Waits, but exits the program at once when a signal arrives.
pub async fn or_leave<T>(
    waiting: impl Future<Output = T>,
    output: Output,
    signals: &mut Signals,
) -> T {
    tokio::select! {
        value = waiting => value,
        () = signals.next() => {
            output.say("Left at once; the session may stay listed until it times out.");
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
    }
}
