//! Ports for servers of tests that are started by their address. Test binaries of other crates include this file.

#![allow(unreachable_pub, reason = "the crates that include this file use it inside")]

use std::hash::BuildHasher;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Returns an address at which nothing listens.
///
/// A server can be started there late, and again after a stop: the port is below the range from which the kernel
/// takes ports for other sockets (`ip_local_port_range` in ip(7), from 32768), so that no socket of another test gets
/// it in the meantime.
///
/// # Panics
/// If no such port is free.
#[must_use]
pub fn free_address() -> SocketAddr {
    for _ in 0..1_000 {
        // Each hasher has another seed.
        let random = std::hash::RandomState::new().hash_one(()) % 12_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 20_000 + u16::try_from(random).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port between 20000 and 32000 is free");
}
