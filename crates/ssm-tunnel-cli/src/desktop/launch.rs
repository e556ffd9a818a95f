//! Starts this machine's Remote Desktop client and waits for it to end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use ssm_tunnel::Tunnel;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::output::ClientFailed;
use crate::process::{child, command};
use crate::rdp::{Password, RdpClient, RdpFile, RdpOpen};

/// How often to count the tunnel's connections once the client's process has ended.
const LOOK: Duration = Duration::from_millis(200);

/// A running client.
#[derive(Debug)]
pub struct Desktop {
    client: RdpClient,
    child: Child,
    /// Holds the `.rdp` file if the user did not ask for one; removed on drop.
    _scratch: Option<TempDir>,
}

/// What the client is to open.
#[derive(Debug)]
pub struct Desired<'a> {
    /// The address to connect to.
    pub address: SocketAddr,
    /// The settings.
    pub file: &'a RdpFile,
    /// Where the settings are saved, if the user asked for the file.
    pub saved: Option<PathBuf>,
    /// Whether the settings amount to the address alone.
    pub only_address: bool,
    /// The password, for a client that reads it.
    pub password: Option<&'a Password>,
    /// The name under which the client remembers the machine's certificate.
    pub machine: &'a str,
}

impl Desktop {
    /// Starts the client. Its output goes to standard error.
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
            // A private directory: in the shared one, another user could plant a link.
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
            // If the client ends early, its exit code says why.
            let _ = input.write_all(password.expose().as_bytes()).await;
            let _ = input.write_all(b"\n").await;
        }
        Ok(Self {
            client,
            child,
            _scratch: scratch,
        })
    }

    /// Whether the client prompts on the terminal, where a status line would interfere.
    pub fn uses_terminal(&self) -> bool {
        self.client.uses_terminal()
    }

    /// Waits until the user has closed the client and all of its connections have ended.
    ///
    /// # Errors
    /// When it failed.
    pub async fn ended(&mut self, tunnel: &Tunnel) -> anyhow::Result<()> {
        let status = self.child.wait().await.context("the client was lost")?;
        // FreeRDP also exits with 1 when it could not start at all.
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
        // The process may have handed its connection to another process of the same client.
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

    /// Terminates the client if it is still running.
    pub fn end(mut self) {
        if let Ok(None) = self.child.try_wait() {
            command::terminate(&mut self.child);
        }
    }
}

/// The address for a client to connect to: Windows cannot connect to an unspecified address.
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
    fn clients_of_a_wildcard_address_connect_to_loopback() {
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
