//! Addresses that the agent does not forward to (`agent/appconfig/constants.go` and
//! `agent/session/plugins/port/port.go` @1c217c89; release notes of 3.1.1374.0, 3.3.551.0,
//! 3.3.4851.0 and 3.3.5068.0). Names are checked by the addresses that they resolve to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first version that also denies the VPC's first four addresses and its last one.
const FIRST_TO_KNOW_ITS_VPC: [u32; 4] = [3, 1, 1374, 0];
/// The first version that denies the time service and Windows activation at their IPv6 addresses.
const FIRST_TO_DENY_MORE_IPV6: [u32; 4] = [3, 3, 551, 0];
/// The first version that denies loopback, link-local addresses and the container credential endpoints
/// of ECS and EKS.
const FIRST_TO_DENY_LOOPBACK: [u32; 4] = [3, 3, 4851, 0];
/// The first version that denies the unspecified address, which connects to loopback as well.
const FIRST_TO_DENY_UNSPECIFIED: [u32; 4] = [3, 3, 5068, 0];

/// `fd00:ec2::/32`: instance metadata and its neighbours, by the last group.
const METADATA: [u16; 2] = [0xfd00, 0x0ec2];

/// An IPv4 VPC as the agent reads it from instance metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vpc {
    /// Its first address.
    pub network: Ipv4Addr,
    /// Length of its prefix, 0 to 32.
    pub prefix: u8,
}

impl Vpc {
    /// Network, router, DNS, the one AWS keeps, and broadcast.
    fn reserves(self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX
            .checked_shl(32_u32.saturating_sub(u32::from(self.prefix)))
            .unwrap_or(0);
        let first = self.network.to_bits() & mask;
        let address = address.to_bits();
        address.checked_sub(first).is_some_and(|at| at < 4) || address == first | !mask
    }
}

/// Whether an agent of this version, in this VPC, refuses to forward to `address`.
pub(super) fn is_denied(address: IpAddr, version: [u32; 4], vpc: Vpc) -> bool {
    // Go's `net.IP.Equal` treats an IPv4-mapped address as the IPv4 address, in every version.
    match address.to_canonical() {
        IpAddr::V4(address) => {
            matches!(
                address.octets(),
                [169, 254, 169, 123 | 250 | 251 | 253 | 254]
            ) || version >= FIRST_TO_KNOW_ITS_VPC && vpc.reserves(address)
                || version >= FIRST_TO_DENY_LOOPBACK
                    && (address.is_loopback() || address.is_link_local())
                || version >= FIRST_TO_DENY_UNSPECIFIED && address.octets()[0] == 0
        }
        IpAddr::V6(address) => {
            metadata_suffix(address).is_some_and(|suffix| match suffix {
                0x253 | 0x254 => true,
                0x123 | 0x240 => version >= FIRST_TO_DENY_MORE_IPV6,
                0x23 => version >= FIRST_TO_DENY_LOOPBACK,
                _ => false,
            }) || version >= FIRST_TO_DENY_LOOPBACK
                && (address.is_loopback() || address.is_unicast_link_local())
                || version >= FIRST_TO_DENY_UNSPECIFIED && address.is_unspecified()
        }
    }
}

fn metadata_suffix(address: Ipv6Addr) -> Option<u16> {
    match address.segments() {
        [first, second, 0, 0, 0, 0, 0, suffix] if [first, second] == METADATA => Some(suffix),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VPC: Vpc = Vpc {
        network: Ipv4Addr::new(10, 0, 0, 0),
        prefix: 16,
    };

    fn denied(address: &str, version: [u32; 4]) -> bool {
        is_denied(address.parse().expect("an address"), version, VPC)
    }

    #[test]
    fn each_version_denies_what_its_release_notes_say() {
        for (address, since) in [
            ("169.254.169.254", [0; 4]),
            ("169.254.169.253", [0; 4]),
            ("169.254.169.123", [0; 4]),
            ("169.254.169.250", [0; 4]),
            ("169.254.169.251", [0; 4]),
            ("::ffff:169.254.169.254", [0; 4]),
            ("fd00:ec2::254", [0; 4]),
            ("fd00:ec2::253", [0; 4]),
            ("10.0.0.0", FIRST_TO_KNOW_ITS_VPC),
            ("10.0.0.2", FIRST_TO_KNOW_ITS_VPC),
            ("10.0.0.3", FIRST_TO_KNOW_ITS_VPC),
            ("10.0.255.255", FIRST_TO_KNOW_ITS_VPC),
            ("fd00:ec2::123", FIRST_TO_DENY_MORE_IPV6),
            ("fd00:ec2::240", FIRST_TO_DENY_MORE_IPV6),
            ("127.0.0.1", FIRST_TO_DENY_LOOPBACK),
            ("127.8.9.10", FIRST_TO_DENY_LOOPBACK),
            ("::1", FIRST_TO_DENY_LOOPBACK),
            ("::ffff:127.0.0.1", FIRST_TO_DENY_LOOPBACK),
            ("169.254.1.1", FIRST_TO_DENY_LOOPBACK),
            ("169.254.170.2", FIRST_TO_DENY_LOOPBACK),
            ("169.254.170.23", FIRST_TO_DENY_LOOPBACK),
            ("::ffff:169.254.170.23", FIRST_TO_DENY_LOOPBACK),
            ("fd00:ec2::23", FIRST_TO_DENY_LOOPBACK),
            ("fe80::1", FIRST_TO_DENY_LOOPBACK),
            ("0.0.0.0", FIRST_TO_DENY_UNSPECIFIED),
            ("::", FIRST_TO_DENY_UNSPECIFIED),
        ] {
            assert!(denied(address, since), "{address} since {since:?}");
            assert!(denied(address, [9, 0, 0, 0]), "{address}");
            let mut before = since;
            if since != [0; 4] {
                before[2] -= 1;
                assert!(!denied(address, before), "{address} before {since:?}");
            }
        }
    }

    #[test]
    fn ordinary_addresses_are_allowed_by_every_version() {
        for address in [
            "10.0.0.4",
            "10.0.255.254",
            "10.1.0.2",
            "192.0.2.1",
            "fd00:ec2::1",
            "2001:db8::1",
        ] {
            for version in [[3, 1, 1374, 0], [9, 0, 0, 0]] {
                assert!(!denied(address, version), "{address} {version:?}");
            }
        }
    }

    #[test]
    fn a_vpc_of_any_prefix_reserves_its_own_edges() {
        let one = Vpc {
            network: Ipv4Addr::new(192, 0, 2, 7),
            prefix: 32,
        };
        assert!(one.reserves(Ipv4Addr::new(192, 0, 2, 7)));
        let all = Vpc {
            network: Ipv4Addr::UNSPECIFIED,
            prefix: 0,
        };
        assert!(all.reserves(Ipv4Addr::BROADCAST));
        assert!(!all.reserves(Ipv4Addr::new(9, 9, 9, 9)));
        let odd = Vpc { prefix: 200, ..all };
        assert!(odd.reserves(Ipv4Addr::UNSPECIFIED));
    }
}
