//! What to forward, as the command line says it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use ssm_tunnel::TunnelBuilder;

/// Where local programs connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalSide {
    /// A TCP address; port 0 for a free one.
    Address(SocketAddr),
    /// A Unix socket.
    Socket(PathBuf),
}

impl Default for LocalSide {
    fn default() -> Self {
        Self::port(0)
    }
}

impl LocalSide {
    /// A port of 127.0.0.1.
    pub fn port(port: u16) -> Self {
        Self::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// The tunnel with this local side.
    pub fn apply(&self, tunnel: TunnelBuilder) -> TunnelBuilder {
        match self {
            Self::Address(address) => tunnel.local_address(*address),
            Self::Socket(path) => tunnel.local_socket(path),
        }
    }
}

/// `PORT`, `ADDRESS:PORT`, or a path with a `/`.
impl FromStr for LocalSide {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text.contains('/') {
            return Ok(Self::Socket(text.into()));
        }
        if let Ok(port) = text.parse() {
            return Ok(Self::port(port));
        }
        let address = text.parse().with_context(|| {
            format!("{text} is no local side: give PORT, ADDRESS:PORT, or a socket's path with a /")
        })?;
        Ok(Self::Address(address))
    }
}

/// One local side, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Where local programs connect.
    pub local: LocalSide,
    /// Host to reach from the target; `None` for the target itself.
    pub host: Option<String>,
    /// Port to reach.
    pub port: u16,
}

/// `[LOCAL=][HOST:]PORT`; without a local side, a free port of 127.0.0.1.
impl FromStr for Forward {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (local, remote) = match text.split_once('=') {
            Some((local, remote)) => (local.parse()?, remote),
            None => (LocalSide::default(), text),
        };
        let (host, port) = match remote.rsplit_once(':') {
            Some((host, port)) => (Some(host), port),
            None => (None, remote),
        };
        let port: u16 = port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .with_context(|| format!("{text} names no port to reach: give [LOCAL=][HOST:]PORT"))?;
        // An IPv6 address is bracketed only here, to tell its colons from the port's.
        let host = host.map(|host| {
            host.trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned()
        });
        ensure!(
            host.as_deref() != Some(""),
            "{text} names an empty host: leave out its colon to reach the target itself"
        );
        Ok(Self { local, host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(text: &str) -> (LocalSide, Option<String>, u16) {
        let forward: Forward = text.parse().unwrap_or_else(|error| panic!("{error}"));
        (forward.local, forward.host, forward.port)
    }

    #[test]
    fn every_form_is_read() {
        let host = |name: &str| Some(name.to_owned());
        let address = |text: &str| LocalSide::Address(text.parse().expect("an address"));
        assert_eq!(forward("3389"), (LocalSide::port(0), None, 3389));
        assert_eq!(forward("db:5432"), (LocalSide::port(0), host("db"), 5432));
        assert_eq!(
            forward("15432=db:5432"),
            (LocalSide::port(15432), host("db"), 5432)
        );
        assert_eq!(forward("[::1]:1=2"), (address("[::1]:1"), None, 2));
        assert_eq!(
            forward("127.0.0.2:0=[fd00::1]:5432"),
            (address("127.0.0.2:0"), host("fd00::1"), 5432)
        );
        assert_eq!(
            forward("./pg.sock=db.internal:5432"),
            (
                LocalSide::Socket("./pg.sock".into()),
                host("db.internal"),
                5432
            )
        );
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        for text in [
            "",
            "0",
            "db",
            "db:",
            ":5432",
            "1=",
            "x=1",
            "70000",
            "1.2.3.4=5",
        ] {
            assert!(text.parse::<Forward>().is_err(), "{text}");
        }
    }
}
