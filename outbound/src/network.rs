//! Networks in CIDR notation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses with a common prefix. An IPv4 network contains no IPv6 address, also none that embeds one of
/// its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    first: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// An IPv4 network. Its first address has no bits behind the prefix.
    pub(crate) const fn v4(first: [u8; 4], prefix_bits: u8) -> Self {
        let [a, b, c, d] = first;
        Self {
            first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            prefix_bits,
        }
    }

    /// An IPv6 network by the first four groups of its first address. The other groups are 0.
    pub(crate) const fn v6(first: [u16; 4], prefix_bits: u8) -> Self {
        let [a, b, c, d] = first;
        Self {
            first: IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
            prefix_bits,
        }
    }

    /// Returns true if the address is in the network.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => (first.to_bits() ^ address.to_bits()).leading_zeros(),
            (IpAddr::V6(first), IpAddr::V6(address)) => (first.to_bits() ^ address.to_bits()).leading_zeros(),
            _ => return false,
        };
        differing >= u32::from(self.prefix_bits)
    }
}

/// A text that is no network.
#[derive(Debug, thiserror::Error)]
#[error("expected an address, or a network such as 10.0.0.0/8 without bits behind the prefix")]
pub(crate) struct BadNetwork;

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let first: IpAddr = address.parse().map_err(|_| BadNetwork)?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => width,
            Some(prefix) => prefix.parse().map_err(|_| BadNetwork)?,
        };
        let zeros = match first {
            IpAddr::V4(first) => first.to_bits().trailing_zeros(),
            IpAddr::V6(first) => first.to_bits().trailing_zeros(),
        };
        if prefix_bits > width || zeros < u32::from(width - prefix_bits) {
            return Err(BadNetwork);
        }
        Ok(Self { first, prefix_bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_contains_its_first_and_last_address_and_no_neighbor() {
        for (text, before, first, last, behind) in [
            ("10.0.0.0/8", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
            (
                "172.16.0.0/12",
                "172.15.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "172.32.0.0",
            ),
            (
                "192.168.1.7",
                "192.168.1.6",
                "192.168.1.7",
                "192.168.1.7",
                "192.168.1.8",
            ),
            ("fc00::/7", "fbff:ffff::", "fc00::", "fdff:ffff::1", "fe00::"),
            ("::1", "::", "::1", "::1", "::2"),
        ] {
            let contains = |address: &str| network(text).contains(address.parse().unwrap());
            assert!(contains(first) && contains(last), "{text}");
            assert!(!contains(before) && !contains(behind), "{text}");
        }
        assert!(network("0.0.0.0/0").contains("255.255.255.255".parse().unwrap()));
        assert!(!network("0.0.0.0/0").contains("::ffff:1.2.3.4".parse().unwrap()));
        assert!(network("::/0").contains("ffff::1".parse().unwrap()));
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::/129",
            "fd00::1/8",
            "10.0.0.0/",
            "a/8",
            "0.0.0.1/0",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        for text in ["10.0.0.0/8", "fd00::/8", "0.0.0.0/0", "::1/128"] {
            assert_eq!(network(text).to_string(), text);
        }
    }
}
