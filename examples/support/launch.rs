//! The Remote Desktop client of this machine, from its start to its end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use ssm_tunnel::{Password, RdpClient, RdpFile, RdpOpen, Tunnel};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::{child, command};

/// How often the tunnel's connections are counted once the client's program has ended.
const LOOK: Duration = Duration::from_millis(200);

/// The client did not do what it should.
#[derive(Debug)]
pub struct ClientFailed(String);

impl std::fmt::Display for ClientFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ClientFailed {}

/// A client that runs.
#[derive(Debug)]
pub struct Desktop {
    client: RdpClient,
    child: Child,
    /// Removed with it, where nobody asked for a file.
    _scratch: Option<TempDir>,
}

/// What it is to open.
#[derive(Debug)]
pub struct Desired<'a> {
    /// Where it connects.
    pub address: SocketAddr,
    /// The settings.
    pub file: &'a RdpFile,
    /// Where they are saved, if somebody wants the file.
    pub saved: Option<PathBuf>,
    /// The same without a file would only name the address.
    pub only_address: bool,
    /// For a client that takes it.
    pub password: Option<&'a Password>,
    /// What the client remembers the machine's certificate by.
    pub machine: &'a str,
}

impl Desktop {
    /// Starts it. What it prints goes to standard error.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(client: RdpClient, desired: Desired<'_>) -> anyhow::Result<Self> {
        let password = desired.password.filter(|_| client.reads_password());
        let address_alone =
            client.takes_address() && desired.only_address && desired.saved.is_none();
        let mut scratch = None;
        let mut path = desired.saved;
        if path.is_none() && !address_alone {
            // A folder of this user's own: in the one for all, others could put a link in the way.
            let folder = TempDir::with_prefix("ssm-tunnel-")?;
            let file = folder.path().join("session.rdp");
            desired.file.save(&file)?;
            path = Some(file);
            scratch = Some(folder);
        }
        let open = match &path {
            Some(path) if password.is_some() => RdpOpen::FileAndPassword(path),
            Some(path) => RdpOpen::File(path),
            None => RdpOpen::Address(desired.address),
        };
        let mut command = client.command(open, desired.machine);
        child::keep_secrets_from(&mut command);
        let mut command = Command::from(command);
        command.stdout(io::stderr()).stderr(io::stderr());
        command.stdin(match password {
            Some(_) => Stdio::piped(),
            None if client.uses_terminal() => Stdio::inherit(),
            None => Stdio::null(),
        });
        let program = client.program().display().to_string();
        let mut child = command
            .spawn()
            .map_err(|error| ClientFailed(format!("{program} does not start: {error}")))?;
        if let (Some(password), Some(mut input)) = (password, child.stdin.take()) {
            // A client that ends early says why by its exit code.
            let _ = input.write_all(password.expose().as_bytes()).await;
            let _ = input.write_all(b"\n").await;
        }
        Ok(Self {
            client,
            child,
            _scratch: scratch,
        })
    }

    /// Whether it asks questions on the terminal, where a status line would be in the way.
    pub fn uses_terminal(&self) -> bool {
        self.client.uses_terminal()
    }

    /// Waits until the user has closed it, and every connection of its is over.
    ///
    /// # Errors
    /// When it failed.
    pub async fn ended(&mut self, tunnel: &Tunnel) -> anyhow::Result<()> {
        let status = self.child.wait().await.context("the client was lost")?;
        // FreeRDP also ends with 1 where it could not start at all.
        let connected = tunnel.stats().connections > 0;
        let in_order = |code| code == 0 || (connected && self.client.ended_in_order(code));
        if !status.code().is_some_and(in_order) {
            let program = self.client.program().display();
            let how = match status.code() {
                Some(code) => format!("exit code {code}"),
                None => status.to_string(),
            };
            return Err(ClientFailed(format!("{program} failed with {how}")).into());
        }
        // A program may have handed its connection on to another one of the same client.
        let mut looks = tokio::time::interval(LOOK);
        loop {
            let stats = tunnel.stats();
            let expected = self.client.hands_over() && stats.connections == 0;
            if stats.open_connections == 0 && !expected {
                return Ok(());
            }
            looks.tick().await;
        }
    }

    /// Ends it, where it still runs.
    pub fn end(mut self) {
        if let Ok(None) = self.child.try_wait() {
            command::terminate(&mut self.child);
        }
    }
}

/// Where a client connects to what listens here: Windows connects to no address for all interfaces.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_connects_to_loopback_where_every_interface_is_listened_on() {
        for (listening, expected) in [
            ("0.0.0.0:5", "127.0.0.1:5"),
            ("[::]:5", "[::1]:5"),
            ("127.0.0.1:5", "127.0.0.1:5"),
            ("192.0.2.1:5", "192.0.2.1:5"),
        ] {
            let listening = listening.parse().expect("an address");
            assert_eq!(reachable(listening).to_string(), expected);
        }
    }
}
