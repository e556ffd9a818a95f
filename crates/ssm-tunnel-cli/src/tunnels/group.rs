//! Several tunnels that end together.

use std::net::SocketAddr;
use std::sync::Arc;

use ssm_tunnel::{End, Error, Tunnel};
use tokio::task::{JoinHandle, JoinSet};

use super::forward::LocalSide;
use super::report::report;
use crate::output::{Output, Status};

/// Open tunnels, whose events are printed.
#[derive(Debug, Default)]
pub struct Tunnels {
    open: Vec<(LocalSide, Arc<Tunnel>)>,
    reports: Vec<JoinHandle<()>>,
}

impl Tunnels {
    /// Adds a tunnel, with the local side that was requested.
    pub fn add(&mut self, local: LocalSide, tunnel: Tunnel, output: Output) {
        let id = tunnel.session_id().to_owned();
        let reporting = report(tunnel.events(), output, id);
        self.reports.push(tokio::task::spawn_local(reporting));
        self.open.push((local, Arc::new(tunnel)));
    }

    /// The local side and address of each.
    pub fn locals(&self) -> Vec<(LocalSide, SocketAddr)> {
        // A socket has no address, and is told by its path.
        let none = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = |(local, tunnel): &(LocalSide, Arc<Tunnel>)| {
            (local.clone(), tunnel.local_addr().unwrap_or(none))
        };
        self.open.iter().map(address).collect()
    }

    /// Waits until all of them are ready.
    ///
    /// # Errors
    /// Why one of them is not.
    pub async fn ready(&self) -> Result<(), Error> {
        for (_, tunnel) in &self.open {
            tunnel.ready().await?;
        }
        Ok(())
    }

    /// Waits until the first of them ends.
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

    /// Shows their traffic on the terminal. Does not return.
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
    /// Why one of them had already ended.
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
