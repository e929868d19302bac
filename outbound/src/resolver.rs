//! Lookups of host names. The HTTP client gets only addresses that have been checked.

use crate::error::{Error, LookupError};
use crate::policy::Policy;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A source of addresses for host names.
pub trait Resolver: Send + Sync {
    /// The addresses of a name.
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the system: `/etc/hosts`, then DNS.
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn lookup<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A resolver that refuses names with an address that is not permitted. The HTTP client asks it once for each new
/// connection and connects to one of its answers.
pub(crate) struct CheckedResolver {
    pub(crate) policy: Arc<Policy>,
    pub(crate) resolver: Arc<dyn Resolver>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, resolver) = (Arc::clone(&self.policy), Arc::clone(&self.resolver));
        Box::pin(async move {
            let name = name.as_str();
            let addresses = match resolver.lookup(name).await {
                Ok(addresses) if addresses.is_empty() => return Err(LookupError::Failed.into()),
                Ok(addresses) => addresses,
                Err(error) => {
                    tracing::info!(name, %error, "failed to look up a host");
                    return Err(LookupError::Failed.into());
                }
            };
            if let Err(Error::Address { address }) = policy.check_lookup(name, &addresses) {
                tracing::warn!(name, %address, "refused a host whose address is not permitted");
                return Err(LookupError::Refused(address).into());
            }
            // Port 0 stands for the port of the URL.
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
