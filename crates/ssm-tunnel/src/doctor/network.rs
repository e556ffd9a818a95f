//! The network to AWS: names, addresses, proxies, certificates, time; and the local port.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use ssm_relay::{Answer, ConnectError, Listener, Probe, probe};

use super::examination::Examination;
use super::report::{Check, CheckName};
use crate::error::port_advice;
use crate::network::CaBundle;

/// Maximum difference between the clocks at which a signature is valid (AWS Signature Version 4: 5
/// minutes).
const MAX_SKEW: Duration = Duration::from_secs(300);
/// An MFA code is valid for a step of 30 s; STS accepts the neighbouring steps too.
const CODE_STEP: Duration = Duration::from_secs(30);

/// The result of probing an endpoint; an error is one of its URL.
pub(super) type Probed = Option<Result<Probe, String>>;

impl Examination {
    /// Probes an endpoint; `None` when it is not known.
    pub(super) async fn probe(&self, url: Option<&str>) -> Probed {
        let bundle = self.ca_bundle.as_ref().map(CaBundle::inner);
        let probed = probe(url?, self.proxy.inner(), bundle, self.deadline).await;
        Some(probed.map_err(|error| error.to_string()))
    }
}

/// The checks of the network.
pub(super) fn checks(sts: Probed, ssm: Probed, ssmmessages: Probed) -> Vec<Check> {
    let all = [
        (CheckName::Sts, sts),
        (CheckName::Ssm, ssm),
        (CheckName::Ssmmessages, ssmmessages),
    ];
    let probes: Vec<_> = all
        .iter()
        .filter_map(|(name, probed)| Some((*name, probed.as_ref()?.as_ref().ok()?)))
        .collect();
    let mut checks = vec![clock(&probes), proxy(&probes)];
    for (name, probed) in &all {
        checks.push(match probed {
            Some(Ok(probe)) => endpoint(*name, probe),
            Some(Err(error)) => Check::fail(*name, error.as_str()),
            None => Check::unknown(
                *name,
                "only StartSession reports the address, and no session could be started",
            ),
        });
    }
    checks
}

fn clock(probes: &[(CheckName, &Probe)]) -> Check {
    const NAME: CheckName = CheckName::Clock;
    let answers = probes
        .iter()
        .filter_map(|(_, probe)| probe.outcome.as_ref().ok());
    let Some(ahead) = answers.filter_map(ahead).next() else {
        return Check::unknown(NAME, "no endpoint answered with its time");
    };
    let (off, word) = match ahead {
        Ahead::Us(by) => (by, "ahead of"),
        Ahead::Aws(by) => (by, "behind"),
    };
    let seconds = off.as_secs();
    let check = if off >= MAX_SKEW {
        Check::fail(
            NAME,
            format!(
                "this machine's clock is {seconds} s {word} AWS's, and signatures more than {} s off are refused",
                MAX_SKEW.as_secs()
            ),
        )
        .next("set the clock, or have it set by the network (NTP)")
    } else if off > CODE_STEP {
        Check::pass(
            NAME,
            format!(
                "this machine's clock is {seconds} s {word} AWS's: close enough for signatures, too far off for MFA codes that are generated on this machine"
            ),
        )
        .next("have the clock set by the network (NTP)")
    } else {
        Check::pass(NAME, "agrees with AWS's")
    };
    let signed = i64::try_from(seconds).unwrap_or(i64::MAX);
    check.detail(
        "ahead_seconds",
        match ahead {
            Ahead::Us(_) => signed,
            Ahead::Aws(_) => -signed,
        },
    )
}

/// Whose clock is ahead, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ahead {
    Us(Duration),
    Aws(Duration),
}

fn ahead(answer: &Answer) -> Option<Ahead> {
    let theirs = DateTime::from_str(answer.date.as_deref()?, Format::HttpDate).ok()?;
    let theirs = SystemTime::try_from(theirs).ok()?;
    Some(match answer.at.duration_since(theirs) {
        Ok(by) => Ahead::Us(by),
        Err(error) => Ahead::Aws(error.duration()),
    })
}

fn proxy(probes: &[(CheckName, &Probe)]) -> Check {
    const NAME: CheckName = CheckName::Proxy;
    let through: Vec<_> = probes
        .iter()
        .filter_map(|(name, probe)| Some((name.as_str(), probe.proxy.as_deref()?)))
        .collect();
    let unreadable = probes.iter().find_map(|(_, probe)| match &probe.outcome {
        Err(ConnectError::ProxyVariable(error)) => Some(error.to_string()),
        _ => None,
    });
    if let Some(text) = unreadable {
        return Check::fail(NAME, text);
    }
    let Some((_, address)) = through.first() else {
        return Check::pass(NAME, "none in between");
    };
    let names: Vec<_> = through.iter().map(|(name, _)| *name).collect();
    let refusal = probes.iter().find_map(|(_, probe)| match &probe.outcome {
        Err(error @ ConnectError::Proxy { .. }) => Some(error.to_string()),
        _ => None,
    });
    let check = match refusal {
        Some(text) => Check::fail(NAME, text),
        None => Check::pass(
            NAME,
            format!("{address} is in between for {}", names.join(", ")),
        ),
    };
    check.detail("proxy", address).detail("endpoints", names)
}

fn endpoint(name: CheckName, probe: &Probe) -> Check {
    let host = &probe.host;
    let check = match &probe.outcome {
        Ok(answer) => Check::pass(name, format!("{host} answers{}", way(probe)))
            .detail("http_status", answer.status),
        Err(ConnectError::Network { error, .. })
            if probe.addresses.is_empty() && probe.proxy.is_none() =>
        {
            Check::fail(name, format!("{host} does not resolve: {error}")).next(format!(
                "check the region and the DNS server; in a network without internet access, a VPC endpoint for {} with private DNS, or an endpoint URL that names it",
                name.as_str()
            ))
        }
        Err(error) => {
            let check = Check::fail(name, format!("{error}{}", way(probe)));
            match error {
                ConnectError::Network { .. } | ConnectError::Timeout { .. } => check.next(format!(
                    "let HTTPS (port 443) out to it; where it is a VPC endpoint, its security group must let port 443 in from here; where a proxy is needed, set HTTPS_PROXY ({})",
                    name.as_str()
                )),
                _ => check,
            }
        }
    };
    check
        .detail("host", host)
        .detail("addresses", &probe.addresses)
        .detail("kind", kind(&probe.addresses).map(Kind::as_str))
        .detail("proxy", &probe.proxy)
}

/// How the endpoint is reached.
fn way(probe: &Probe) -> String {
    if let Some(proxy) = &probe.proxy {
        return format!(" through {proxy}");
    }
    let Some(address) = probe.addresses.first() else {
        return String::new();
    };
    let kind = match kind(&probe.addresses) {
        Some(Kind::Loopback) => "this machine: a stand-in",
        Some(Kind::Private) => "a private address: a VPC endpoint",
        _ => "a public address",
    };
    format!(" at {address}, {kind}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Loopback,
    Private,
    Public,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

/// By the first address: all addresses of a name are of one kind.
fn kind(addresses: &[IpAddr]) -> Option<Kind> {
    let first = addresses.first()?.to_canonical();
    let private = match first {
        // 100.64.0.0/10 (RFC 6598) is used in VPCs as private space.
        IpAddr::V4(it) => it.is_private() || (it.octets()[0] == 100 && it.octets()[1] & 0xc0 == 64),
        IpAddr::V6(it) => it.is_unique_local(),
    };
    Some(match first {
        it if it.is_loopback() => Kind::Loopback,
        _ if private => Kind::Private,
        _ => Kind::Public,
    })
}

/// Whether the local address can be listened on.
pub(super) async fn local_port(address: SocketAddr) -> Check {
    const NAME: CheckName = CheckName::LocalPort;
    let check = match Listener::tcp(address).await {
        Ok(_) => Check::pass(NAME, format!("{address} is free")),
        Err(error) => {
            let check = Check::fail(NAME, format!("{address} cannot be listened on: {error}"));
            match port_advice(error.kind()) {
                Some(step) => check.next(step),
                None => check,
            }
        }
    };
    check.detail("address", address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_distinguish_vpc_endpoints_from_public_ones() {
        for (address, expected) in [
            ("10.1.2.3", Kind::Private),
            ("172.31.0.9", Kind::Private),
            ("100.64.1.1", Kind::Private),
            ("fd00::1", Kind::Private),
            ("::ffff:10.0.0.1", Kind::Private),
            ("127.0.0.1", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("52.94.1.1", Kind::Public),
            ("100.128.0.1", Kind::Public),
            ("2600:1f00::1", Kind::Public),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(kind(&[address]), Some(expected), "{address}");
        }
        assert_eq!(kind(&[]), None);
    }
}
