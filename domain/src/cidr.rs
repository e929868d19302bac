//! Blocks of IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of IP addresses, such as `10.0.0.0/8` or `::1` (RFC 4632, RFC 4291 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    mask: u128,
}

/// The error for a text that is not a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCidr(String);

impl Cidr {
    /// An IPv4 block. Its first address has no bits behind the prefix, which has at least one bit.
    #[must_use]
    pub const fn v4(first: [u8; 4], prefix_bits: u8) -> Self {
        let [a, b, c, d] = first;
        Self {
            network: Ipv4Addr::new(a, b, c, d).to_ipv6_mapped().to_bits(),
            mask: u128::MAX << (32 - prefix_bits),
        }
    }

    /// An IPv6 block by the first groups of its first address, which has no bits behind the prefix; the other groups
    /// are 0. The prefix has at least one bit.
    #[must_use]
    pub const fn v6(first: [u16; 3], prefix_bits: u8) -> Self {
        let [a, b, c] = first;
        Self {
            network: Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_bits(),
            mask: u128::MAX << (128 - prefix_bits),
        }
    }

    /// Returns `true` if the block contains an address. An IPv4 address equals its IPv4-mapped IPv6 form.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.network
    }
}

/// An address as 128 bits; IPv4 as `::ffff:a.b.c.d`.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The block of one address.
impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        let network = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        Self {
            network: network.to_bits(),
            mask: u128::MAX,
        }
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let bad = || InvalidCidr(text.to_owned());
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u32 = prefix.map_or(Ok(width), str::parse).map_err(|_| bad())?;
        if prefix > width {
            return Err(bad());
        }
        let mask = u128::MAX.checked_shl(width - prefix).unwrap_or(0);
        Ok(Self {
            network: bits(address) & mask,
            mask,
        })
    }
}

impl fmt::Display for InvalidCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: expected an address or a block such as 10.0.0.0/8", self.0)
    }
}

impl std::error::Error for InvalidCidr {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_contains_its_addresses_and_no_others() {
        for (block, address, contains) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::1", "::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "10.0.0.1", true),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ] {
            let found = block.parse::<Cidr>().unwrap().contains(address.parse().unwrap());
            assert_eq!(found, contains, "{address} in {block}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "10.0.0.0/", "x"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_constant_block_equals_its_text() {
        assert_eq!(Cidr::v4([10, 0, 0, 0], 8), "10.0.0.0/8".parse().unwrap());
        assert_eq!(Cidr::v4([192, 0, 2, 1], 32), "192.0.2.1".parse().unwrap());
        assert_eq!(Cidr::v6([0x2001, 0xdb8, 0], 32), "2001:db8::/32".parse().unwrap());
        assert_eq!(Cidr::v6([0x2000, 0, 0], 3), "2000::/3".parse().unwrap());
    }
}
