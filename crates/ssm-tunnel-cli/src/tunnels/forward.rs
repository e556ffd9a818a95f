//! What to forward: the forms that the command line accepts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
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

    /// Sets this local side.
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

/// A local side and its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Where local programs connect.
    pub local: LocalSide,
    /// Host to reach from the target; `None` for the target itself.
    pub host: Option<String>,
    /// Port to reach.
    pub port: u16,
}

/// `[LOCAL=][HOST:]PORT`; without a local side, a free port of 127.0.0.1. Also as ssh has it:
/// `[ADDRESS:]PORT:HOST:PORT`.
impl FromStr for Forward {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (local, remote) = match text.split_once('=') {
            Some((local, remote)) => (Some(local), remote),
            None => (None, text),
        };
        let parts = parts(remote)
            .with_context(|| format!("{text} has brackets that do not match: [fd00::5]:80"))?;
        let (local, host, port) = match (local, parts.as_slice()) {
            (local, [port]) => (local.map(str::to_owned), None, *port),
            (None, [digits, port]) if is_port(digits) && is_port(port) => {
                bail!("{text} has two ports and no host: for a local port, write {digits}={port}")
            }
            (local, [host, port]) => (local.map(str::to_owned), Some(*host), *port),
            (None, [local, host, port]) if is_port(local) => {
                (Some((*local).to_owned()), Some(*host), *port)
            }
            (None, [address, local, host, port]) if is_port(local) => {
                (Some(format!("{address}:{local}")), Some(*host), *port)
            }
            _ => bail!(
                "{text} has too many colons: give [LOCAL=][HOST:]PORT, an IPv6 address in brackets, such as [fd00::5]:80"
            ),
        };
        let local = local.map_or_else(|| Ok(LocalSide::default()), |local| local.parse())?;
        let port: u16 = port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .with_context(|| format!("{text} names no port to reach: give [LOCAL=][HOST:]PORT"))?;
        // Only the command line needs the brackets around an IPv6 address.
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

/// A forward in the forms of [`Forward`], and also `LOCALPORT:PORT`, `SOCKET:PORT` and
/// `SOCKET:HOST:PORT`, where the socket's path contains a `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec(pub Forward);

impl FromStr for Spec {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let split = match text.contains('=') {
            true => None,
            false => parts(text),
        };
        let written = match split.as_deref() {
            Some([local, port]) if is_port(local) && is_port(port) => format!("{local}={port}"),
            Some([socket, remote @ ..]) if socket.contains('/') && !remote.is_empty() => {
                format!("{socket}={}", remote.join(":"))
            }
            _ => text.to_owned(),
        };
        Ok(Self(written.parse()?))
    }
}

/// Splits at the colons outside brackets; `None` if the brackets do not match.
fn parts(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut inside = false;
    for (at, c) in text.char_indices() {
        match (c, inside) {
            ('[', false) if at == start => inside = true,
            (']', true) => inside = false,
            ('[' | ']', _) => return None,
            (':', false) => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (!inside).then_some(parts)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
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
    fn ssh_s_form_is_read_too() {
        let host = |name: &str| Some(name.to_owned());
        let address = |text: &str| LocalSide::Address(text.parse().expect("an address"));
        assert_eq!(
            forward("15432:db:5432"),
            (LocalSide::port(15432), host("db"), 5432)
        );
        assert_eq!(forward("0:db:5432"), (LocalSide::port(0), host("db"), 5432));
        assert_eq!(
            forward("127.0.0.2:15432:db:5432"),
            (address("127.0.0.2:15432"), host("db"), 5432)
        );
        assert_eq!(
            forward("[::1]:15432:[fd00::5]:80"),
            (address("[::1]:15432"), host("fd00::5"), 80)
        );
        assert_eq!(
            forward("15432:[fd00::5]:80"),
            (LocalSide::port(15432), host("fd00::5"), 80)
        );
    }

    #[test]
    fn what_cannot_be_read_is_explained() {
        for (text, words) in [
            ("15432:5432", "write 15432=5432"),
            ("fd00::5:80", "an IPv6 address in brackets"),
            ("x:db:5432", "too many colons"),
            ("1=2:db:5432", "too many colons"),
            ("*:1:db:5432", "is no local side"),
            ("[fd00::5:80", "brackets that do not match"),
            ("a[b]:80", "brackets that do not match"),
            ("db:5432/tcp", "names no port to reach"),
            ("15432::5432", "names an empty host"),
        ] {
            let error = text.parse::<Forward>().expect_err(text).to_string();
            assert!(error.contains(words), "{words} is not in {error}");
        }
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

    #[test]
    fn a_spec_takes_two_ports_and_sockets_with_colons() {
        let spec = |text: &str| {
            let Spec(forward) = text.parse().unwrap_or_else(|error| panic!("{error}"));
            (forward.local, forward.host, forward.port)
        };
        for (text, same) in [
            ("5432", "5432"),
            ("15432:5432", "15432=5432"),
            ("15432:db.internal:5432", "15432=db.internal:5432"),
            ("15432=db:5432", "15432=db:5432"),
            ("db.internal:5432", "db.internal:5432"),
            ("./db.sock:db.internal:5432", "./db.sock=db.internal:5432"),
            ("/tmp/db.sock:5432", "/tmp/db.sock=5432"),
            ("./db.sock:[fd00::5]:80", "./db.sock=[fd00::5]:80"),
            ("127.0.0.2:1:db:5432", "127.0.0.2:1=db:5432"),
        ] {
            assert_eq!(spec(text), forward(same), "{text}");
        }
        for text in [
            "",
            "x",
            "15432:0",
            "./db.sock",
            "./db.sock:",
            "db:5432/tcp",
            "1:2:3:4:5",
        ] {
            text.parse::<Spec>().expect_err(text);
        }
    }
}
