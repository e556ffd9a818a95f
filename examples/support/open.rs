//! Opening a tunnel while signals may come.

use ssm_tunnel::Tunnel;

use crate::exit;
use crate::output::Output;
use crate::signals::Signals;

/// Waits for the tunnel that is being opened; `None` when a signal came first. A session that was started meanwhile is
/// terminated; a second signal leaves at once.
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
            // What went wrong with a tunnel that is not wanted does not matter.
            let _ = tunnel.close().await;
        }
    };
    or_leave(ending, output, signals).await;
    Ok(None)
}

/// Waits, but leaves the program at once when a signal comes.
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
