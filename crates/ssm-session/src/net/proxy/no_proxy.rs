//! `NO_PROXY`: hosts that are reached directly.

use std::net::IpAddr;

use url::Host;

/// The entries of `NO_PROXY`, separated by commas or blanks:
///
/// | entry | what it matches |
/// |---|---|
/// | `*` | every host |
/// | `example.com`, `.example.com` | this name and its subdomains |
/// | `*.example.com` | its subdomains |
/// | `10.0.0.5`, `fd00::5`, `[fd00::5]` | this address, when it is named instead of a host |
/// | `10.0.0.0/8`, `fd00::/8` | these addresses |
/// | any of the names and addresses with `:PORT` | the same on this port only |
///
/// Names are compared without case and without a trailing dot. An invalid entry matches nothing: its
/// hosts are reached through the proxy.
#[derive(Debug, Clone, Default)]
pub(super) struct NoProxy(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name and its subdomains.
    Domain(String),
    /// Its subdomains.
    Below(String),
    Address(IpAddr),
    Network(IpAddr, u32),
}

impl NoProxy {
    pub(super) fn read(list: &str) -> Self {
        let entries = list.split(|c: char| c == ',' || c.is_whitespace());
        let known = entries
            .filter(|entry| !entry.is_empty())
            .filter_map(|text| {
                let entry = entry(text);
                if entry.is_none() {
                    tracing::warn!(entry = text, "an entry of NO_PROXY cannot be read");
                }
                entry
            });
        Self(known.collect())
    }

    pub(super) fn contains(&self, host: &Host<&str>, port: u16) -> bool {
        self.0
            .iter()
            .any(|entry| entry.port.is_none_or(|only| only == port) && entry.hosts.contains(host))
    }
}

fn entry(text: &str) -> Option<Entry> {
    let hosts = |hosts| Some(Entry { hosts, port: None });
    if text == "*" {
        return hosts(Hosts::All);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return hosts(Hosts::Address(address.to_canonical()));
    }
    if let Some((address, length)) = text.split_once('/') {
        let address = address.parse::<IpAddr>().ok()?;
        let length = length.parse::<u32>().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        return hosts(Hosts::Network(address, length)).filter(|_| length <= longest);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse::<u16>().ok()?)),
        _ => (text, None),
    };
    let hosts = match (host.strip_prefix("*."), host.strip_prefix('.')) {
        (Some(below), _) => Hosts::Below(name(below)?),
        (None, Some(domain)) => Hosts::Domain(name(domain)?),
        (None, None) => match Host::parse(host).ok()? {
            Host::Domain(_) => Hosts::Domain(name(host)?),
            Host::Ipv4(address) => Hosts::Address(address.into()),
            Host::Ipv6(address) => Hosts::Address(IpAddr::from(address).to_canonical()),
        },
    };
    Some(Entry { hosts, port })
}

/// In lower case, in ASCII, without a trailing dot.
fn name(text: &str) -> Option<String> {
    match Host::parse(text).ok()? {
        Host::Domain(name) if !name.contains('*') => {
            let name = name.strip_suffix('.').unwrap_or(&name);
            (!name.is_empty()).then(|| name.to_ascii_lowercase())
        }
        _ => None,
    }
}

impl Hosts {
    fn contains(&self, host: &Host<&str>) -> bool {
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::from(*address)),
            Host::Ipv6(address) => Some(IpAddr::from(*address).to_canonical()),
        };
        match self {
            Self::All => true,
            Self::Address(same) => address == Some(*same),
            Self::Network(network, length) => {
                address.is_some_and(|address| is_within(address, *network, *length))
            }
            Self::Domain(domain) => below(host, domain).is_some(),
            Self::Below(domain) => below(host, domain).is_some_and(|rest| !rest.is_empty()),
        }
    }
}

/// The part of a name before a domain, with the dot in between; `None` when it is not in the domain.
fn below<'a>(host: &'a Host<&str>, domain: &str) -> Option<&'a str> {
    let Host::Domain(name) = host else {
        return None;
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let at = name.len().checked_sub(domain.len())?;
    let (rest, end) = name.split_at_checked(at)?;
    let same = end.eq_ignore_ascii_case(domain);
    (same && (rest.is_empty() || rest.ends_with('.'))).then_some(rest)
}

fn is_within(address: IpAddr, network: IpAddr, length: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let ignored = 32_u32.saturating_sub(length);
            let differ = u32::from(address) ^ u32::from(network);
            differ.checked_shr(ignored).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let ignored = 128_u32.saturating_sub(length);
            let differ = u128::from(address) ^ u128::from(network);
            differ.checked_shr(ignored).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(list: &str, url: &str) -> bool {
        let url = url::Url::parse(url).expect("a URL");
        let host = url.host().expect("a host");
        let port = url.port_or_known_default().expect("a port");
        NoProxy::read(list).contains(&host, port)
    }

    #[test]
    fn every_kind_of_entry_is_understood() {
        const SSM: &str = "https://ssm.us-east-1.amazonaws.com/";
        for list in [
            "*",
            "ssm.us-east-1.amazonaws.com",
            "SSM.US-EAST-1.AmazonAWS.com",
            "ssm.us-east-1.amazonaws.com.",
            "amazonaws.com",
            ".amazonaws.com",
            "*.amazonaws.com",
            ".AMAZONAWS.COM",
            "ssm.us-east-1.amazonaws.com:443",
            ".amazonaws.com:443",
            "*.amazonaws.com:443",
            "localhost, ,127.0.0.1 , amazonaws.com",
            "localhost 127.0.0.1\tamazonaws.com",
        ] {
            assert!(lists(list, SSM), "{list}");
        }
        for list in [
            "",
            " , ",
            "azonaws.com",
            "amazonaws.co",
            "us-east-1.amazonaws.com.evil.example",
            "x.ssm.us-east-1.amazonaws.com",
            "ssm.us-east-1.amazonaws.com:80",
            "amazonaws.com:8443",
            "*amazonaws.com",
            "ssm.*",
            "http://amazonaws.com",
            "amazonaws.com:https",
            "10.0.0.0/8",
            ".",
            "*.",
            "..",
        ] {
            assert!(!lists(list, SSM), "{list}");
        }
        assert!(lists("example.com", "https://EXAMPLE.com./"));
        assert!(lists(".example.com", "https://example.com/"));
        assert!(!lists("*.example.com", "https://example.com/"));
        assert!(lists("example.com:8443", "https://example.com:8443/"));
        assert!(!lists("example.com:443", "https://example.com:8443/"));
        assert!(lists("bücher.example", "https://xn--bcher-kva.example/"));
    }

    #[test]
    fn addresses_and_networks_match_addresses_only() {
        for (list, url) in [
            ("10.0.0.5", "https://10.0.0.5/"),
            ("10.0.0.5:443", "https://10.0.0.5/"),
            ("10.0.0.0/8", "https://10.255.0.1/"),
            ("10.1.2.3/8", "https://10.255.0.1/"),
            ("0.0.0.0/0", "https://192.0.2.1/"),
            ("192.168.1.7/32", "https://192.168.1.7/"),
            ("fd00::5", "https://[fd00::5]/"),
            ("[fd00::5]", "https://[fd00::5]/"),
            ("[fd00::5]:443", "https://[fd00:0::5]/"),
            ("fd00::/8", "https://[fdab::1]/"),
            ("::/0", "https://[2001:db8::1]/"),
            ("::1", "https://[::1]/"),
            ("10.0.0.5", "https://[::ffff:10.0.0.5]/"),
            ("::ffff:10.0.0.5", "https://10.0.0.5/"),
        ] {
            assert!(lists(list, url), "{list} {url}");
        }
        for (list, url) in [
            ("10.0.0.5", "https://10.0.0.50/"),
            ("10.0.0.5:80", "https://10.0.0.5/"),
            ("10.0.0.0/8", "https://11.0.0.1/"),
            ("10.0.0.0/33", "https://10.0.0.0/"),
            ("10.0.0.0/-1", "https://10.0.0.0/"),
            ("fd00::/129", "https://[fd00::]/"),
            ("fd00::/8", "https://[fe00::1]/"),
            ("0.0.0.0/0", "https://[fd00::1]/"),
            ("0.0.0.0/0", "https://example.com/"),
            ("[fd00::5]:80", "https://[fd00::5]/"),
        ] {
            assert!(!lists(list, url), "{list} {url}");
        }
    }
}
