//! Several tunnels that stand and fall together.

use std::net::SocketAddr;
use std::sync::Arc;

use ssm_tunnel::{End, Error, Tunnel};
use tokio::task::{JoinHandle, JoinSet};

use crate::forward::LocalSide;
use crate::output::Output;
use crate::session;
use crate::status::Status;

/// Open tunnels, whose events are printed.
#[derive(Debug, Default)]
pub struct Tunnels {
    open: Vec<(LocalSide, Arc<Tunnel>)>,
    reports: Vec<JoinHandle<()>>,
}

impl Tunnels {
    /// Adds one, with the local side that was asked for.
    pub fn add(&mut self, local: LocalSide, tunnel: Tunnel, output: Output) {
        let id = tunnel.session_id().to_owned();
        let report = session::report(tunnel.events(), output, id);
        self.reports.push(tokio::task::spawn_local(report));
        self.open.push((local, Arc::new(tunnel)));
    }

    /// Where each listens.
    pub fn locals(&self) -> Vec<(LocalSide, SocketAddr)> {
        // A socket has no address, and is told by its path.
        let none = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = |(local, tunnel): &(LocalSide, Arc<Tunnel>)| {
            (local.clone(), tunnel.local_addr().unwrap_or(none))
        };
        self.open.iter().map(address).collect()
    }

    /// Waits until all of them forward.
    ///
    /// # Errors
    /// Why one does not.
    pub async fn ready(&self) -> Result<(), Error> {
        for (_, tunnel) in &self.open {
            tunnel.ready().await?;
        }
        Ok(())
    }

    /// Waits until the first of them is over.
    ///
    /// # Errors
    /// With what went wrong.
    pub async fn ended(&self) -> Result<End, Error> {
        let mut ends = JoinSet::new();
        for (_, tunnel) in &self.open {
            let tunnel = tunnel.clone();
            ends.spawn(async move { tunnel.closed().await });
        }
        match ends.join_next().await {
            Some(Ok(end)) => end,
            _ => std::future::pending().await,
        }
    }

    /// Shows on the terminal what goes through them. Does not return.
    pub async fn show_status(&self, output: Output) {
        if !output.is_for_people() {
            return std::future::pending().await;
        }
        let tunnels: Vec<&Tunnel> = self.open.iter().map(|(_, tunnel)| &**tunnel).collect();
        Status::show().follow(&tunnels).await;
    }

    /// Ends all of them at once, and prints their last events.
    ///
    /// # Errors
    /// With what had ended one before.
    pub async fn close(self) -> Result<(), Error> {
        let mut ends = JoinSet::new();
        for (_, tunnel) in self.open {
            ends.spawn(async move { tunnel.close().await });
        }
        let mut outcome = Ok(());
        for end in ends.join_all().await {
            outcome = outcome.and(end.map(drop));
        }
        for report in self.reports {
            let _ = report.await;
        }
        outcome
    }
}
