//! Resolves host names as an instance does: addresses in every spelling that C libraries accept,
//! loopback names, and the names that the sandbox was given.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of a host that needs no name server; empty for any other.
pub(crate) fn addresses(host: &str) -> Vec<IpAddr> {
    let bare = bare(host);
    if let Ok(address) = bare.parse() {
        return vec![address];
    }
    if let Some(address) = inet_aton(&bare) {
        return vec![address.into()];
    }
    match bare.as_str() {
        // Amazon's resolver answers these in every VPC.
        "instance-data" | "instance-data.ec2.internal" => {
            vec![Ipv4Addr::new(169, 254, 169, 254).into()]
        }
        "localhost" | "localhost.localdomain" | "ip6-localhost" | "ip6-loopback" => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        // RFC 6761, section 6.3.
        name if name.ends_with(".localhost") => vec![Ipv4Addr::LOCALHOST.into()],
        _ => Vec::new(),
    }
}

/// A host in lower case, without brackets, zone, and the dot at the end.
pub(crate) fn bare(host: &str) -> String {
    let host = host.trim();
    let host = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    let host = host.split_once('%').map_or(host, |(address, _)| address);
    let host = host.strip_suffix('.').unwrap_or(host);
    host.to_ascii_lowercase()
}

/// One to four numbers, each decimal, octal (`0…`) or hexadecimal (`0x…`); the last one fills the
/// rest of the address (POSIX, `inet_addr`).
fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 32 - 8 * u32::try_from(leading.len()).ok()?;
    if room < 32 && *last >> room != 0 {
        return None;
    }
    let high = leading.iter().fold(0_u32, |bits, part| bits << 8 | part);
    let high = high.checked_shl(room).unwrap_or(0);
    Some(Ipv4Addr::from_bits(high | last))
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_means_that_address() {
        for (spellings, meant) in [
            (
                &[
                    "127.0.0.1",
                    "127.1",
                    "127.0.1",
                    "2130706433",
                    "0x7f000001",
                    "0x7F.1",
                    "0177.0.0.1",
                    "127.0.0.1.",
                    " 127.0.0.1 ",
                ][..],
                "127.0.0.1",
            ),
            (
                &["2852039166", "0xa9fea9fe", "169.254.43518"],
                "169.254.169.254",
            ),
            (&["0", "0x0", "0.0.0.0", "00"], "0.0.0.0"),
            (&["::1", "[::1]", "0:0:0:0:0:0:0:1", "[::1%lo]"], "::1"),
            (&["fe80::1%eth0"], "fe80::1"),
        ] {
            for spelling in spellings {
                assert_eq!(
                    addresses(spelling),
                    [meant.parse::<IpAddr>().expect("one")],
                    "{spelling}"
                );
            }
        }
    }

    #[test]
    fn loopback_and_metadata_names_have_their_addresses() {
        for name in ["localhost", "LOCALHOST", "localhost.", "db.localhost"] {
            assert!(addresses(name).iter().all(IpAddr::is_loopback), "{name}");
            assert!(!addresses(name).is_empty(), "{name}");
        }
        assert_eq!(
            addresses("instance-data"),
            ["169.254.169.254".parse::<IpAddr>().expect("one")]
        );
    }

    #[test]
    fn other_names_are_left_to_a_name_server() {
        for name in [
            "",
            "db.internal",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.256",
            "08",
            "0x",
            "1..2",
            "-1",
            "4294967296",
            "localhost.example",
        ] {
            assert!(addresses(name).is_empty(), "{name}");
        }
    }
}
