//! Hosts as the target resolves them, and which of them mean the target itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::check::{shortened, wrong};
use crate::error::Error;

/// Names that hosts files give to loopback, besides `localhost` and what ends in `.localhost`
/// (RFC 6761, section 6.3).
const LOOPBACK_NAMES: [&str; 5] = [
    "localhost",
    "localhost.localdomain",
    "localhost6.localdomain6",
    "ip6-localhost",
    "ip6-loopback",
];

/// Whether a remote host, however it is spelled, is the target itself: `localhost`, `127.0.0.1`,
/// `[::1]`, `0.0.0.0`, `::ffff:127.0.0.1`, `127.1` and the like.
///
/// The agent refuses to forward to loopback as a remote host (`denylist` in
/// `agent/session/plugins/port` of amazon-ssm-agent); what runs on the target is reached with
/// `AWS-StartPortForwardingSession`, without any host.
pub fn is_target_itself(host: &str) -> bool {
    let bare = bare(host);
    if let Some(address) = address(bare) {
        let address = address.to_canonical();
        // Connecting to "any address" connects to this machine.
        return address.is_loopback() || address.is_unspecified();
    }
    let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
    LOOPBACK_NAMES.contains(&name.as_str()) || name.ends_with(".localhost")
}

/// The host that a session names; `None` for the target itself. A document that the caller chose
/// gets the host as it is.
pub(crate) fn named<'a>(host: Option<&'a str>, document: Option<&str>) -> Option<&'a str> {
    let host = host?;
    match document {
        Some(_) => Some(host),
        None => (!is_target_itself(host)).then(|| bare(host)),
    }
}

/// Refuses texts that cannot be a host, and says what they look like.
pub(crate) fn check(host: &str) -> Result<(), Error> {
    if host.trim().is_empty() {
        return wrong(
            "the remote host is empty: leave it out to reach the target itself".to_owned(),
        );
    }
    let shown = shortened(host);
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#\\,".contains(c);
    if host.contains(odd) {
        return wrong(format!(
            "the remote host {shown:?} is not a name or address: give it alone, such as database.internal or 10.0.0.5, without scheme, port or path"
        ));
    }
    if host.contains([':', '[', ']']) && address(bare(host)).is_none() {
        return wrong(match with_port(host) {
            Some((local, name, port)) => format!(
                "the remote host {shown:?} is more than a host: give the host alone ({name:?}), {port} as the remote port{}",
                match local {
                    Some(local) => format!(", and {local} as the local port"),
                    None => String::new(),
                }
            ),
            None => format!(
                "the remote host {shown:?} is not a name or address: give it alone, such as database.internal, 10.0.0.5 or fd00::5"
            ),
        });
    }
    Ok(())
}

/// `[LOCAL:]HOST:PORT`, the notation of other tools.
fn with_port(text: &str) -> Option<(Option<u16>, &str, u16)> {
    let (rest, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let (local, host) = match rest.split_once(':') {
        Some((local, host)) if !rest.starts_with('[') => (Some(local.parse().ok()?), host),
        _ => (None, rest),
    };
    let host = bare(host);
    let plain = !host.is_empty() && (!host.contains(':') || address(host).is_some());
    plain.then_some((local, host, port))
}

/// An IPv6 address has brackets in URLs only.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// An address as resolvers read it: an IPv6 address with or without a zone, or an IPv4 address in any of the
/// forms of `inet_aton` (one to four numbers, decimal, octal or hexadecimal).
fn address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        let (text, _zone) = text.split_once('%').unwrap_or((text, ""));
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    inet_aton(text.strip_suffix('.').unwrap_or(text)).map(IpAddr::V4)
}

fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let left = 4_usize.checked_sub(first.len()).filter(|left| *left > 0)?;
    // The last number fills the bytes that the others leave.
    let bits = u32::try_from(left).ok()?.checked_mul(8)?;
    if u64::from(*last) >= 1_u64.checked_shl(bits)? {
        return None;
    }
    let mut value = *last;
    for (at, part) in first.iter().enumerate() {
        let byte = u8::try_from(*part).ok()?;
        let shift = 24_u32.checked_sub(u32::try_from(at).ok()?.checked_mul(8)?)?;
        value |= u32::from(byte).checked_shl(shift)?;
    }
    Some(Ipv4Addr::from(value))
}

fn number(text: &str) -> Option<u32> {
    let hexadecimal = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    // `from_str_radix` would take a sign.
    let digit = |c: char| c.is_digit(radix);
    let all = !digits.is_empty() && digits.chars().all(digit);
    all.then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_in_any_spelling_means_the_target_itself() {
        for host in [
            "localhost",
            "LOCALHOST",
            "LocalHost.",
            "db.localhost",
            "localhost.localdomain",
            "ip6-localhost",
            "127.0.0.1",
            "127.0.0.2",
            "127.255.255.254",
            "127.0.0.1.",
            "127.1",
            "0x7f.1",
            "0X7F.0.0.1",
            "0177.0.0.1",
            "2130706433",
            "0x7f000001",
            "::1",
            "[::1]",
            "::1%lo",
            "0:0:0:0:0:0:0:1",
            "::ffff:127.0.0.1",
            "[::FFFF:7f00:2]",
            "0.0.0.0",
            "0",
            "::",
            "[::]",
            "::ffff:0.0.0.0",
        ] {
            check(host).unwrap_or_else(|error| panic!("{error}"));
            assert!(is_target_itself(host), "{host}");
            assert_eq!(named(Some(host), None), None, "{host}");
        }
    }

    #[test]
    fn other_hosts_are_named_as_given() {
        for host in [
            "db.internal",
            "localhost.example.com",
            "notlocalhost",
            "mylocalhost.",
            "10.0.0.5",
            "128.0.0.1",
            "126.1",
            "1.2.3.4.5",
            "256.0.0.1",
            "127.0.0.256",
            "08.1",
            "+127.0.0.1",
            "fd00::5",
            "::2",
            "fe80::1%eth0",
            "a_b-c",
            "169.254.169.254",
        ] {
            check(host).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(named(Some(host), None), Some(host));
        }
        assert_eq!(named(Some("[fd00::5]"), None), Some("fd00::5"));
        assert_eq!(named(Some("localhost"), Some("Mine")), Some("localhost"));
    }

    #[test]
    fn host_with_port_is_refused_and_taken_apart() {
        for (host, words) in [
            (" ", "the remote host is empty"),
            ("a b", "is not a name or address: give it alone"),
            ("http://db/", "is not a name or address: give it alone"),
            ("user@db", "is not a name or address: give it alone"),
            ("db/x", "is not a name or address: give it alone"),
            ("db\n", "is not a name or address: give it alone"),
            ("db,db2", "is not a name or address: give it alone"),
            (
                "db:5432",
                r#"give the host alone ("db"), 5432 as the remote port"#,
            ),
            (
                "15432:db:5432",
                r#"give the host alone ("db"), 5432 as the remote port, and 15432 as the local port"#,
            ),
            ("[fd00::5]:80", r#"give the host alone ("fd00::5"), 80 as"#),
            ("db:", "is not a name or address: give it alone"),
            (":5432", "is not a name or address: give it alone"),
            ("db:http", "is not a name or address: give it alone"),
            ("[db]", "is not a name or address: give it alone"),
            ("[fd00::5", "is not a name or address: give it alone"),
            ("x:db:70000", "is not a name or address: give it alone"),
        ] {
            let error = check(host).expect_err(host).to_string();
            assert!(error.contains("remote host"), "{error}");
            assert!(error.contains(words), "{words} is not in {error}");
        }
    }
}
