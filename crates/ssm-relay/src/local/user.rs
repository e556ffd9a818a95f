//! Which user a local connection belongs to.
//!
//! A connection that the system does not attribute to a user is never admitted: one that its program
//! closed has no owner any more, only rows that the kernel shows as user 0.

use std::io;
use std::net::SocketAddr;

use super::local_stream::LocalStream;

/// How often the system's table is read for a connection that it does not list: a table that changes
/// while it is read may omit a row.
const LOOKS: usize = 3;

/// Which user a connection belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This process's user.
    Us,
    /// Another user.
    Other,
    /// The system does not show it.
    Unknown(String),
}

/// Whether this system shows the owner of a TCP connection.
pub(super) fn supported() -> io::Result<()> {
    if cfg!(any(target_os = "linux", target_os = "macos")) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system does not say whose a local connection is",
    ))
}

impl Owner {
    /// The owner of the peer's end.
    pub(crate) async fn of(stream: &LocalStream) -> Self {
        owner(stream).await
    }
}

async fn owner(stream: &LocalStream) -> Owner {
    match stream {
        LocalStream::Tcp(tcp) => {
            let (Ok(peer), Ok(local)) = (tcp.peer_addr(), tcp.local_addr()) else {
                return Owner::Unknown("it was reset".to_owned());
            };
            // Reading files and running programs blocks.
            let looked_up = tokio::task::spawn_blocking(move || look_up(peer, local)).await;
            let owner = looked_up.unwrap_or_else(|error| Owner::Unknown(error.to_string()));
            // While this end is connected, no other connection can have taken the same two
            // addresses: the row that was read is this one's.
            match tcp.peer_addr() {
                Ok(still) if still == peer => owner,
                _ => Owner::Unknown("it was reset".to_owned()),
            }
        }
        #[cfg(unix)]
        LocalStream::Socket(socket) => match socket.peer_cred() {
            Ok(peer) if peer.uid() == rustix::process::geteuid().as_raw() => Owner::Us,
            Ok(_) => Owner::Other,
            Err(error) => Owner::Unknown(error.to_string()),
        },
    }
}

fn look_up(peer: SocketAddr, local: SocketAddr) -> Owner {
    for _ in 0..LOOKS {
        match system::owner(peer, local) {
            Ok(Some(owner)) => return owner,
            Ok(None) => {}
            Err(error) => return Owner::Unknown(error.to_string()),
        }
    }
    Owner::Unknown("the system lists no such connection".to_owned())
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

    use super::Owner;

    /// States that the peer's end of an accepted connection may have: ESTABLISHED, FIN_WAIT1,
    /// FIN_WAIT2, CLOSE_WAIT (include/net/tcp_states.h). One in SYN_SENT with the same addresses is
    /// another connection, which waits for this one to go.
    const CONNECTED: [&str; 4] = ["01", "04", "05", "08"];
    /// The inode of a row without a socket: its program has closed it, and the user shown is 0.
    const NO_SOCKET: &str = "0";

    /// `None` when no row lists the connection.
    pub(super) fn owner(peer: SocketAddr, local: SocketAddr) -> io::Result<Option<Owner>> {
        let ours = rustix::process::geteuid().as_raw();
        let ipv4 = fs::read_to_string("/proc/net/tcp");
        // Without IPv6 there is no second table.
        let ipv6 = fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
        Ok(read(&[&ipv4?, &ipv6], peer, local, ours))
    }

    /// The owner of the peer's end: the row whose local address is our peer's, and vice versa.
    /// The format is that of proc(5): `sl local_address rem_address st … uid timeout inode`.
    pub(super) fn read(
        tables: &[&str],
        peer: SocketAddr,
        local: SocketAddr,
        ours: u32,
    ) -> Option<Owner> {
        let mut found = None;
        for line in tables.iter().flat_map(|table| table.lines()) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            // Queues, timer and retransmissions are between the state and the user.
            let [_, from, to, state, _, _, _, user, _, inode, ..] = fields.as_slice() else {
                continue;
            };
            if !(is_address(from, peer) && is_address(to, local)) {
                continue;
            }
            if *inode == NO_SOCKET || !CONNECTED.contains(state) {
                found.get_or_insert_with(|| {
                    Owner::Unknown("its program has closed it already".to_owned())
                });
                continue;
            }
            match user.parse::<u32>() {
                Ok(user) if user == ours => found = Some(Owner::Us),
                Ok(_) => return Some(Owner::Other),
                Err(_) => return Some(Owner::Unknown("its row cannot be read".to_owned())),
            }
        }
        found
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
        fn only_a_row_with_a_socket_has_an_owner() {
            let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:43A8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1
   1: 0100007F:43A8 0100007F:C001 01 00000000:00000000 00:00000000 00000000  1000        0 2 1
   2: 0100007F:C001 0100007F:43A8 01 00000000:00000000 00:00000000 00000000  1001        0 3 1
   3: 0100007F:C002 0100007F:43A8 06 00000000:00000000 03:00000000 00000000     0        0 0 3
   4: 0000000000000000FFFF00000100007F:C003 0000000000000000FFFF00000100007F:43A8 01 0:0 00:0 0 1002 0 4
   5: 00000000000000000000000001000000:C004 00000000000000000000000001000000:43A8 01 0:0 00:0 0 1003 0 5
   6: 0100007F:C005 0100007F:43A8 05 00000000:00000000 03:00001756 00000000     0        0 0 3
   7: 0100007F:C006 0100007F:43A8 04 00000000:00000000 01:00000014 00000000     0        0 0 3
   8: 0100007F:C007 0100007F:43A8 05 00000000:00000000 00:00000000 00000000  1001        0 7 1
   9: 0100007F:C008 0100007F:43A8 02 00000000:00000000 01:00000014 00000000  1001        0 8 1
  10: 0100007F:C009 0100007F:43A8 01 00000000:00000000 00:00000000 00000000     0        0 0 1
  11: 0100007F:C00A 0100007F:43A8 06 00000000:00000000 03:00000000 00000000     0        0 0 3
  12: 0100007F:C00A 0100007F:43A8 01 00000000:00000000 00:00000000 00000000  1001        0 9 1
  13: 0100007F:C00B 0100007F:43A8 01 00000000:00000000 00:00000000 00000000  1001        0 9 1
  14: 0100007F:C00B 0100007F:43A8 01 00000000:00000000 00:00000000 00000000  1002        0 9 1
  15: 0100007F:C00C 0100007F:43A8 01 00000000:00000000 00:00000000 00000000  -1          0 9 1
";
            let local: SocketAddr = "127.0.0.1:17320".parse().expect("an address");
            let port = |port: u16| SocketAddr::new(local.ip(), port);
            let of = |peer, ours| read(&[table], peer, local, ours);
            assert_eq!(of(port(0xC001), 1001), Some(Owner::Us));
            assert_eq!(of(port(0xC001), 1000), Some(Owner::Other));
            assert_eq!(of(port(0xC001), 0), Some(Owner::Other));
            assert_eq!(of(port(0xC003), 1002), Some(Owner::Us));
            // The program still holds what it has only shut down.
            assert_eq!(of(port(0xC007), 1001), Some(Owner::Us));
            assert_eq!(of(port(0xC00A), 1001), Some(Owner::Us));
            // The most cautious of two rows counts.
            assert_eq!(of(port(0xC00B), 1001), Some(Owner::Other));
            // Neither root's nor another user's: TIME_WAIT, FIN_WAIT2 and FIN_WAIT1 without a
            // socket, SYN_SENT of the next connection, an inode of 0, a user that is no number.
            for ownerless in [0xC002, 0xC005, 0xC006, 0xC008, 0xC009, 0xC00C] {
                for ours in [0, 1001] {
                    let owner = of(port(ownerless), ours);
                    assert!(
                        matches!(owner, Some(Owner::Unknown(_))),
                        "{ownerless:x}: {owner:?}"
                    );
                }
            }
            assert_eq!(of(port(49999), 0), None);
            let mapped =
                |port| SocketAddr::new("::ffff:127.0.0.1".parse().expect("an address"), port);
            let owner = read(&[table], mapped(0xC001), mapped(17320), 1001);
            assert_eq!(owner, Some(Owner::Us));
            let owner = read(&[table], mapped(0xC002), mapped(17320), 0);
            assert!(matches!(owner, Some(Owner::Unknown(_))), "{owner:?}");
            let ipv6 = |text: &str| text.parse::<SocketAddr>().expect("an address");
            let owner = read(&["", table], ipv6("[::1]:49156"), ipv6("[::1]:17320"), 1003);
            assert_eq!(owner, Some(Owner::Us));
            assert_eq!(read(&["nonsense : 0\n\n"], port(1), local, 0), None);
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
                assert_eq!(
                    owner(peer, address).expect("/proc"),
                    Some(Owner::Us),
                    "{address}"
                );
                // Closed, it has no owner, even when this process is root.
                drop(client);
                let gone = owner(peer, address).expect("/proc");
                assert!(matches!(gone, Some(Owner::Unknown(_))), "{gone:?}");
            }
        }
    }
}

/// `lsof` is part of macOS. Without privileges it lists this user's files only, and it is asked only for
/// these: a connection that it does not list may be another user's, or closed already.
#[cfg(any(target_os = "macos", all(test, unix)))]
mod macos {
    #![cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "for its test"))]

    use std::io;
    use std::net::SocketAddr;
    use std::process::{Command, Stdio};

    use super::Owner;

    /// `None` when it is not listed.
    pub(super) fn owner(peer: SocketAddr, local: SocketAddr) -> io::Result<Option<Owner>> {
        let user = rustix::process::geteuid().as_raw();
        let output = Command::new("/usr/sbin/lsof")
            .env_clear()
            .args(["-n", "-P", "-a", "-u", &user.to_string(), "-F", "n"])
            .arg(format!("-iTCP:{}", peer.port()))
            // A row in that state with the same addresses is another connection.
            .arg("-sTCP:^SYN_SENT")
            .stdin(Stdio::null())
            .output()?;
        let listed = lists(&String::from_utf8_lossy(&output.stdout), peer, local);
        Ok(listed.then_some(Owner::Us))
    }

    /// Lines with `n` name a connection, from its owner's end: `n127.0.0.1:49153->127.0.0.1:17320`.
    fn lists(output: &str, peer: SocketAddr, local: SocketAddr) -> bool {
        let same = |text: &str, address: SocketAddr| {
            text.parse::<SocketAddr>().is_ok_and(|named| {
                named.port() == address.port()
                    && named.ip().to_canonical() == address.ip().to_canonical()
            })
        };
        output.lines().any(|line| {
            let ends = line.strip_prefix('n').and_then(|it| it.split_once("->"));
            ends.is_some_and(|(from, to)| same(from, peer) && same(to, local))
        })
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
            let mapped = address("[::ffff:127.0.0.1]:17320");
            assert!(lists(output, mapped, peer));
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod other {
    use std::io;
    use std::net::SocketAddr;

    use super::Owner;

    pub(super) fn owner(_: SocketAddr, _: SocketAddr) -> io::Result<Option<Owner>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
