//! Notices that the machine slept, and that credentials expire.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ssm_session::{CallError, Clock};

use super::context::TunnelContext;
use super::supervisor::Supervisor;
use crate::event::Event;

/// How long before they expire credentials are asked for again, and warned of.
const EXPIRY_WARNING: Duration = Duration::from_secs(600);
/// Shortest time between two times that their provider is asked.
const BETWEEN_CHECKS: Duration = Duration::from_secs(60);
/// Time allowed for the provider.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs until the tunnel is dropped.
pub(crate) async fn watch<A: CallError>(tunnel: Weak<Supervisor<A>>) {
    let mut wakes = 0;
    let mut checked: Option<Instant> = None;
    let mut seen = None;
    loop {
        tokio::time::sleep(Clock::TICK).await;
        let Some(tunnel) = tunnel.upgrade() else {
            return;
        };
        let context = tunnel.context();
        let now = context.session.clock().now();
        if std::mem::replace(&mut wakes, context.session.clock().wakes()) != wakes {
            tracing::debug!("the machine slept");
            tunnel.current().wake();
        }
        // Some providers start a program each time they are asked.
        let due = checked.is_none_or(|at| now.saturating_duration_since(at) >= BETWEEN_CHECKS);
        if due && let Some(expiry) = expires_soon(context) {
            if seen.replace(expiry) == Some(expiry) {
                continue;
            }
            checked = Some(now);
            tokio::spawn(check_credentials(context.clone(), expiry));
        }
    }
}

/// When the credentials expire, if that is soon.
fn expires_soon<A: CallError>(context: &TunnelContext<A>) -> Option<SystemTime> {
    let expiry = context.session.signer()?.expiry()?;
    let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
    (left <= EXPIRY_WARNING).then_some(expiry)
}

/// Warns of credentials that expire soon and are not renewed.
async fn check_credentials<A: CallError>(context: Arc<TunnelContext<A>>, expiry: SystemTime) {
    let signer = context.session.signer();
    let renewed = async { signer?.renewed_expiry().await };
    let renewed = tokio::time::timeout(PROVIDER_TIMEOUT, renewed).await;
    if renewed.is_ok_and(|renewed| renewed.is_some_and(|renewed| renewed > expiry)) {
        return;
    }
    let left = expiry.duration_since(SystemTime::now()).unwrap_or_default();
    let unix = expiry.duration_since(UNIX_EPOCH).unwrap_or_default();
    context.events.send(Event::CredentialsExpiring {
        expires_at: unix.as_secs(),
        in_seconds: left.as_secs(),
    });
}
