//! Addresses of the public internet, told from all others.
//!
//! The tables follow the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190 and the
//! registrations since, up to RFC 9780), and the blocks that are multicast (RFC 5771) or reserved (RFC 1112). Two
//! decisions differ from the column "Globally Reachable" of the registries:
//!
//! - Every registered block is refused, also one that is marked as globally reachable, because such blocks belong to
//!   protocols: no website has an address there. This includes `64:ff9b::/96` (NAT64): the IPv4 address that is
//!   embedded there may be private.
//! - An IPv6 address outside `2000::/3` is refused. IANA assigns global unicast addresses only there (RFC 4291 and its
//!   registry), so this one rule covers loopback, unspecified, IPv4-mapped and -compatible, NAT64, discard-only, dummy
//!   prefix, segment routing, unique local, link-local, site-local and multicast addresses, and blocks that will be
//!   registered in the future.

use domain::Cidr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

const SPECIAL_V4: &[Cidr] = &[
    Cidr::v4([0, 0, 0, 0], 8),       // this network, RFC 791; Linux connects 0.0.0.0 to itself
    Cidr::v4([10, 0, 0, 0], 8),      // private, RFC 1918
    Cidr::v4([100, 64, 0, 0], 10),   // shared by providers, RFC 6598; metadata of some clouds
    Cidr::v4([127, 0, 0, 0], 8),     // loopback, RFC 1122
    Cidr::v4([169, 254, 0, 0], 16),  // link-local, RFC 3927; metadata of most clouds
    Cidr::v4([172, 16, 0, 0], 12),   // private, RFC 1918
    Cidr::v4([192, 0, 0, 0], 24),    // IETF protocol assignments, RFC 6890
    Cidr::v4([192, 0, 2, 0], 24),    // documentation, RFC 5737
    Cidr::v4([192, 31, 196, 0], 24), // AS112, RFC 7535
    Cidr::v4([192, 52, 193, 0], 24), // AMT, RFC 7450
    Cidr::v4([192, 88, 99, 0], 24),  // 6to4 relays, RFC 7526
    Cidr::v4([192, 168, 0, 0], 16),  // private, RFC 1918
    Cidr::v4([192, 175, 48, 0], 24), // AS112, RFC 7534
    Cidr::v4([198, 18, 0, 0], 15),   // benchmarks, RFC 2544
    Cidr::v4([198, 51, 100, 0], 24), // documentation, RFC 5737
    Cidr::v4([203, 0, 113, 0], 24),  // documentation, RFC 5737
    Cidr::v4([224, 0, 0, 0], 4),     // multicast, RFC 5771
    Cidr::v4([240, 0, 0, 0], 4),     // reserved, RFC 1112; broadcast, RFC 8190
];

const UNICAST_V6: Cidr = Cidr::v6([0x2000, 0, 0], 3);

/// Blocks in [`UNICAST_V6`] that are registered for special purposes.
const SPECIAL_V6: &[Cidr] = &[
    Cidr::v6([0x2001, 0, 0], 23), // IETF protocol assignments, RFC 2928: Teredo, benchmarks, AMT, ORCHID, …
    Cidr::v6([0x2001, 0xdb8, 0], 32), // documentation, RFC 3849
    Cidr::v6([0x2002, 0, 0], 16), // 6to4, RFC 3056: embeds an IPv4 address
    Cidr::v6([0x2620, 0x4f, 0x8000], 48), // AS112, RFC 7534
    Cidr::v6([0x3fff, 0, 0], 20), // documentation, RFC 9637
];

/// Returns true if the address is of the public internet.
pub(crate) fn is_global(address: IpAddr) -> bool {
    let is_in = |blocks: &[Cidr]| blocks.iter().any(|block| block.contains(address));
    match address {
        IpAddr::V4(_) => !is_in(SPECIAL_V4),
        IpAddr::V6(_) => UNICAST_V6.contains(address) && !is_in(SPECIAL_V6),
    }
}

/// Returns true if the address is one of this machine: the source of packets to it would be the address itself. The
/// kernel tells that when a UDP socket is connected, which sends nothing.
pub(crate) fn is_of_this_machine(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    source().is_ok_and(|source| source == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The first and the last address of each block, and the global neighbors of the block where it has some.
    #[test]
    fn blocks_end_where_the_registries_say() {
        let blocks = [
            ("0.0.0.0", "0.255.255.255", "", "1.0.0.0"),
            ("10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0"),
            ("127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0"),
            ("169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0"),
            ("172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"),
            ("192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0"),
            ("192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0"),
            ("192.31.196.0", "192.31.196.255", "192.31.195.255", "192.31.197.0"),
            ("192.52.193.0", "192.52.193.255", "192.52.192.255", "192.52.194.0"),
            ("192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0"),
            ("192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0"),
            ("192.175.48.0", "192.175.48.255", "192.175.47.255", "192.175.49.0"),
            ("198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0"),
            ("198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0"),
            ("203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0"),
            ("224.0.0.0", "255.255.255.255", "223.255.255.255", ""),
            ("::", "1fff:ffff::", "", "2000::"),
            ("2001::", "2001:1ff:ffff::", "2000:ffff::", "2001:200::"),
            ("2001:db8::", "2001:db8:ffff::", "2001:db7:ffff::", "2001:db9::"),
            ("2002::", "2002:ffff:ffff::", "2001:ffff::", "2003::"),
            (
                "2620:4f:8000::",
                "2620:4f:8000:ffff::",
                "2620:4f:7fff::",
                "2620:4f:8001::",
            ),
            ("3fff::", "3fff:fff:ffff::", "3ffe:ffff::", "3fff:1000::"),
            ("4000::", "ffff:ffff::", "3fff:ffff::", ""),
        ];
        for (first, last, before, behind) in blocks {
            assert!(!is_global(address(first)), "{first}");
            assert!(!is_global(address(last)), "{last}");
            for neighbor in [before, behind].into_iter().filter(|text| !text.is_empty()) {
                assert!(is_global(address(neighbor)), "{neighbor}");
            }
        }
    }

    #[test]
    fn addresses_that_embed_or_replace_ipv4_are_refused() {
        for text in [
            "::1.1.1.1",
            "::ffff:1.1.1.1",
            "::ffff:0:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "64:ff9b:1::1.1.1.1",
            "2002:101:101::1",
            "2001:0:101:101::1",
            "fe80::5efe:1.1.1.1",
        ] {
            assert!(!is_global(address(text)), "{text}");
        }
    }

    #[test]
    fn an_address_of_this_machine_is_told_from_others() {
        assert!(is_of_this_machine(address("127.0.0.1")));
        assert!(!is_of_this_machine(address("192.0.2.1")) && !is_of_this_machine(address("2001:db8::1")));
    }

    #[test]
    fn addresses_of_websites_are_global() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.215.14",
            "2606:4700::6810:84e5",
            "2a00:1450:4001:80b::200e",
        ] {
            assert!(is_global(address(text)), "{text}");
        }
    }
}
