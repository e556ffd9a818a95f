//! Whose a local connection is.

use std::io;

use crate::local::LocalStream;

/// Whether this system tells.
pub(super) fn supported() -> io::Result<()> {
    if cfg!(any(target_os = "linux", target_os = "macos")) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system does not tell whose a local connection is",
    ))
}

/// Whether it is of this process's user. What cannot be found out is not.
pub(super) async fn is_ours(stream: &LocalStream) -> bool {
    match stream {
        LocalStream::Tcp(tcp) => {
            let (Ok(peer), Ok(local)) = (tcp.peer_addr(), tcp.local_addr()) else {
                return false;
            };
            // Files and programs, which block.
            let looked_up = tokio::task::spawn_blocking(move || system::is_ours(peer, local)).await;
            looked_up.is_ok_and(|ours| {
                ours.unwrap_or_else(|error| {
                    tracing::warn!(%error, %peer, "whose connection it is cannot be found out");
                    false
                })
            })
        }
        #[cfg(unix)]
        LocalStream::Socket(socket) => socket
            .peer_cred()
            .is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw()),
    }
}

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
use other as system;

#[cfg(target_os = "linux")]
mod linux {
    use std::net::{IpAddr, SocketAddr};
    use std::{fs, io};

    /// TIME_WAIT: such a row has no owner any more (include/net/tcp_states.h).
    const TIME_WAIT: &str = "06";

    pub(super) fn is_ours(peer: SocketAddr, local: SocketAddr) -> io::Result<bool> {
        let ours = rustix::process::geteuid().as_raw();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let Ok(text) = fs::read_to_string(table) else {
                // Without IPv6 there is no second one.
                continue;
            };
            if let Some(owner) = owner(&text, peer, local) {
                return Ok(owner == ours);
            }
        }
        Ok(false)
    }

    /// The owner of the peer's end: whose local address is our peer's, and the other way round.
    /// The format is that of proc(5): `sl local_address rem_address st … uid`.
    fn owner(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
        table.lines().find_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let from = fields.next()?;
            let to = fields.next()?;
            let state = fields.next()?;
            let matches = is_address(from, peer) && is_address(to, local) && state != TIME_WAIT;
            // Queues, timer, retransmissions, then the user.
            matches.then(|| fields.nth(3)?.parse().ok()).flatten()
        })
    }

    /// Whether a field names this address, as IPv4 or as IPv6.
    fn is_address(field: &str, address: SocketAddr) -> bool {
        let Some((host, port)) = field.split_once(':') else {
            return false;
        };
        if u16::from_str_radix(port, 16) != Ok(address.port()) {
            return false;
        }
        let mapped = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut written = vec![hex(&mapped.octets())];
        if let IpAddr::V4(ip) = address.ip().to_canonical() {
            written.push(hex(&ip.octets()));
            written.push(hex(&ip.to_ipv6_mapped().octets()));
        }
        written
            .iter()
            .any(|written| written.eq_ignore_ascii_case(host))
    }

    /// Groups of four bytes, each in the machine's order.
    fn hex(octets: &[u8]) -> String {
        octets
            .chunks_exact(4)
            .filter_map(|group| group.first_chunk())
            .map(|group| format!("{:08X}", u32::from_ne_bytes(*group)))
            .collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[cfg(target_endian = "little")]
        #[test]
        fn the_owner_is_that_of_the_peers_end() {
            let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:43A8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1
   1: 0100007F:43A8 0100007F:C001 01 00000000:00000000 00:00000000 00000000  1000        0 2 1
   2: 0100007F:C001 0100007F:43A8 01 00000000:00000000 00:00000000 00000000  1001        0 3 1
   3: 0100007F:C002 0100007F:43A8 06 00000000:00000000 00:00000000 00000000     0        0 0 3
   4: 0000000000000000FFFF00000100007F:C003 0000000000000000FFFF00000100007F:43A8 01 0:0 00:0 0 1002 0 4
   5: 00000000000000000000000001000000:C004 00000000000000000000000001000000:43A8 01 0:0 00:0 0 1003 0 5
";
            let local: SocketAddr = "127.0.0.1:17320".parse().expect("an address");
            let peer = |text: &str| text.parse::<SocketAddr>().expect("an address");
            assert_eq!(owner(table, peer("127.0.0.1:49153"), local), Some(1001));
            assert_eq!(owner(table, peer("127.0.0.1:49154"), local), None);
            assert_eq!(owner(table, peer("127.0.0.1:49155"), local), Some(1002));
            assert_eq!(owner(table, peer("127.0.0.1:49999"), local), None);
            let local = peer("[::1]:17320");
            assert_eq!(owner(table, peer("[::1]:49156"), local), Some(1003));
            assert_eq!(owner("nonsense : 0\n\n", peer("[::1]:49156"), local), None);
        }

        #[test]
        fn a_connection_of_this_process_is_this_users() {
            for address in ["127.0.0.1:0", "[::1]:0"] {
                let Ok(listener) = std::net::TcpListener::bind(address) else {
                    // Not every machine has IPv6.
                    assert_eq!(address, "[::1]:0");
                    continue;
                };
                let address = listener.local_addr().expect("bound");
                let client = std::net::TcpStream::connect(address).expect("connects");
                let peer = client.local_addr().expect("connected");
                assert!(is_ours(peer, address).expect("/proc"), "{address}");
            }
        }
    }
}

/// `lsof` is part of macOS. Without privileges it lists this user's files only, and it is asked for
/// nothing else.
#[cfg(any(target_os = "macos", all(test, unix)))]
mod macos {
    #![cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "for its test"))]

    use std::io;
    use std::net::SocketAddr;
    use std::process::{Command, Stdio};

    pub(super) fn is_ours(peer: SocketAddr, local: SocketAddr) -> io::Result<bool> {
        let user = rustix::process::geteuid().as_raw();
        let output = Command::new("/usr/sbin/lsof")
            .env_clear()
            .args(["-n", "-P", "-a", "-u", &user.to_string(), "-F", "n"])
            .arg(format!("-iTCP:{}", peer.port()))
            .stdin(Stdio::null())
            .output()?;
        Ok(lists(&String::from_utf8_lossy(&output.stdout), peer, local))
    }

    /// Lines with `n` name a connection, from its owner's end: `n127.0.0.1:49153->127.0.0.1:17320`.
    fn lists(output: &str, peer: SocketAddr, local: SocketAddr) -> bool {
        let wanted = format!("n{peer}->{local}");
        output.lines().any(|line| line == wanted)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_connection_must_be_listed_from_the_peers_end() {
            let output = "p100\nf7\nn127.0.0.1:17320->127.0.0.1:49153\nf8\nn[::1]:5->[::1]:6\n";
            let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
            let (peer, local) = (address("127.0.0.1:49153"), address("127.0.0.1:17320"));
            assert!(!lists(output, peer, local));
            assert!(lists(output, local, peer));
            assert!(lists(output, address("[::1]:5"), address("[::1]:6")));
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod other {
    use std::io;
    use std::net::SocketAddr;

    pub(super) fn is_ours(_: SocketAddr, _: SocketAddr) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
