use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ssm_forward::PortForward;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::Parts;
use crate::api::Ticket;
use crate::driver::{Driver, Phase};
use crate::error::End;
use crate::shared::Shared;
use crate::terminate::TerminateGuard;

/// A running session. Dropping it ends the session.
#[derive(Debug)]
pub(crate) struct SessionHandle {
    id: String,
    pub(super) shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    closing: watch::Sender<bool>,
}

impl SessionHandle {
    /// Runs a session that was started.
    pub(super) fn start(parts: &Parts, ticket: Ticket, guard: TerminateGuard) -> Self {
        let id = ticket.session_id.clone();
        let unix_time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let forward =
            PortForward::new(parts.limits.forward(), seed(), parts.clock.now(), unix_time);
        let shared = Shared::new(forward, parts.clock.clone(), parts.events.counters());
        let (phase, phase_receiver) = watch::channel(Phase::Connecting);
        let (closing, closing_receiver) = watch::channel(false);
        let driver = Driver {
            shared: shared.clone(),
            api: parts.api.clone(),
            connector: parts.connector.clone(),
            limits: parts.limits.clone(),
            events: parts.events.clone(),
            phase,
            closing: closing_receiver,
            session_id: id.clone(),
            one_connection: parts.api.starts_more(),
        };
        let span = tracing::info_span!("session", id = %id);
        tokio::spawn(driver.run(ticket, guard).instrument(span));
        Self {
            id,
            shared,
            phase: phase_receiver,
            closing,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Ended(_))
    }

    /// Waits until connections can be opened, or never will.
    pub(super) async fn settled(&self) -> Phase {
        let mut phase = self.phase.clone();
        let settled = phase
            .wait_for(|phase| !matches!(phase, Phase::Connecting))
            .await;
        // The driver always ends with a phase; without one its runtime is gone.
        settled.map_or(Phase::Ended(End::Aborted), |phase| phase.clone())
    }

    pub(crate) async fn ended(&self) -> End {
        let mut phase = self.phase.clone();
        match phase
            .wait_for(|phase| matches!(phase, Phase::Ended(_)))
            .await
            .as_deref()
        {
            Ok(Phase::Ended(end)) => end.clone(),
            _ => End::Aborted,
        }
    }

    pub(super) fn close(&self) {
        self.shared.close();
        self.closing.send_replace(true);
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        self.close();
    }
}

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    if getrandom::fill(&mut seed).is_err() {
        // Message ids must differ, not be secret.
        seed.fill_with(|| fastrand::u8(..));
    }
    seed
}
