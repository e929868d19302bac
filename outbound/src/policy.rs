//! The rule about the addresses that may be reached, with the exceptions of private installations.

use crate::address::{is_global, is_of_this_machine};
use crate::error::Error;
use domain::Cidr;
use std::net::IpAddr;
use std::str::FromStr;
use url::{Host, Url};

/// The addresses that may be reached: those of the public internet that are not of this machine, and exceptions by a
/// setting.
///
/// The setting is a list that is separated by commas: networks (`10.0.0.0/8`, `fd00::/8`), addresses, and names of
/// hosts (`nas.lan`), which may then have any address. A name has no wildcard: with one, the owner of a zone could add
/// names. Exceptions count for redirects too.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    networks: Vec<Cidr>,
    /// Names as URLs have them: in lower case, in punycode, without a dot at the end.
    hosts: Vec<String>,
}

/// An entry of the list that is neither a network nor the name of a host.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither a network such as 10.0.0.0/8 nor the name of a host")]
pub struct BadException(String);

impl FromStr for Policy {
    type Err = BadException;

    fn from_str(list: &str) -> Result<Self, BadException> {
        let mut policy = Self::default();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match (entry.parse(), Host::parse(entry)) {
                (Ok(network), _) => policy.networks.push(network),
                (Err(_), Ok(Host::Domain(name))) if !name.contains('*') => policy.hosts.push(bare(&name).to_owned()),
                // Other spellings of addresses: what they mean is not obvious to everyone who reads the setting.
                _ => return Err(BadException(entry.to_owned())),
            }
        }
        Ok(policy)
    }
}

impl Policy {
    /// The policy for a URL that the operator has set: its host may have any address.
    ///
    /// # Errors
    /// [`Error::Invalid`] without a host.
    pub fn of_operator(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|_| Error::Invalid)?;
        let mut policy = Self::default();
        match url.host().ok_or(Error::Invalid)? {
            Host::Domain(name) => policy.hosts.push(bare(name).to_owned()),
            Host::Ipv4(address) => policy.networks.push(IpAddr::V4(address).into()),
            Host::Ipv6(address) => policy.networks.push(IpAddr::V6(address).into()),
        }
        Ok(policy)
    }

    /// Checks the host of a URL if it is a literal address, which no lookup will see.
    pub(crate) fn check_literal(&self, url: &Url) -> Result<(), Error> {
        let address = match url.host() {
            None => return Err(Error::Invalid),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
        };
        self.permits(address).then_some(()).ok_or(Error::Address { address })
    }

    /// Checks all addresses of a name. One that is not permitted refuses them all: a name with both kinds is an attack
    /// or a mistake, and it must not depend on the order of the answer which one it is.
    pub(crate) fn check_lookup(&self, name: &str, addresses: &[IpAddr]) -> Result<(), Error> {
        if self.hosts.iter().any(|host| host == bare(name)) {
            return Ok(());
        }
        let refused = addresses.iter().find(|address| !self.permits(**address));
        refused.map_or(Ok(()), |address| Err(Error::Address { address: *address }))
    }

    fn permits(&self, address: IpAddr) -> bool {
        let is_public = is_global(address) && !is_of_this_machine(address);
        is_public || self.networks.iter().any(|network| network.contains(address))
    }
}

/// A name without the dot that makes it absolute.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_that_the_operator_has_set_may_have_any_address() {
        for (url, name) in [
            ("http://geo.lan:8080/lookup", "geo.lan"),
            ("http://127.0.0.1/", "geo.lan"),
            ("http://[::1]:80/", "geo.lan"),
        ] {
            let policy = Policy::of_operator(url).unwrap();
            assert!(policy.check_literal(&url.parse().unwrap()).is_ok(), "{url}");
            let is_name = url.contains(name);
            assert_eq!(policy.check_lookup(name, &[address("10.0.0.1")]).is_ok(), is_name);
            assert!(policy.check_lookup("other.lan", &[address("10.0.0.1")]).is_err());
        }
        assert!(Policy::of_operator("mailto:ana@example.com").is_err());
    }

    #[test]
    fn exceptions_are_networks_addresses_and_names() {
        let policy: Policy = "10.0.0.0/8, fd00::/8,192.168.1.7,, NAS.lan. ,bücher.lan"
            .parse()
            .unwrap();
        let lookup = |name: &str, text: &str| policy.check_lookup(name, &[address(text)]).is_ok();
        assert!(lookup("any.test", "10.1.2.3") && lookup("any.test", "fd00::1") && lookup("any.test", "192.168.1.7"));
        assert!(!lookup("any.test", "192.168.1.8") && !lookup("any.test", "127.0.0.1"));
        assert!(lookup("nas.lan", "127.0.0.1") && lookup("nas.lan.", "127.0.0.1"));
        assert!(lookup("xn--bcher-kva.lan", "127.0.0.1"));
        assert!(!lookup("other.nas.lan", "127.0.0.1") && !lookup("lan", "127.0.0.1"));
    }

    #[test]
    fn an_entry_that_is_no_exception_is_named() {
        for entry in [
            "10.1",
            "0x7f.1",
            "*.lan",
            "a b",
            "http://nas.lan",
            "nas.lan:80",
            "[::1]",
            "10.0.0.0/33",
        ] {
            let problem = format!("nas.lan,{entry}").parse::<Policy>().unwrap_err().to_string();
            assert!(problem.contains(entry), "{problem}");
        }
        assert!("".parse::<Policy>().is_ok());
    }

    #[test]
    fn one_refused_address_refuses_the_lookup() {
        let policy = Policy::default();
        let addresses = ["1.1.1.1", "10.0.0.1", "2606:4700::1"].map(address);
        assert!(matches!(
            policy.check_lookup("any.test", &addresses),
            Err(Error::Address { address }) if address.to_string() == "10.0.0.1"
        ));
        assert!(policy.check_lookup("any.test", &addresses[..1]).is_ok());
    }
}
