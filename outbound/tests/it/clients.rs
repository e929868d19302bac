//! Clients and requests of tests.

use crate::host::Host;
use crate::names::Names;
use outbound::{Client, Download, Error, Get, Headers, Limits, Policy, Target};
use std::sync::Arc;
use std::time::Duration;

/// Generous limits. A test sets the one that it is about.
pub(crate) const LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(60),
    stall: Duration::from_secs(60),
    whole: Duration::from_secs(60),
    max_bytes: 10_000_000,
};

/// A client with exceptions and names.
pub(crate) fn client(exceptions: &str, names: Names) -> Client {
    sharing(exceptions, Arc::new(names))
}

/// A client whose names the test keeps, to see the lookups.
pub(crate) fn sharing(exceptions: &str, names: Arc<Names>) -> Client {
    let policy: Policy = exceptions.parse().unwrap();
    Client::with_resolver(policy, names, Duration::from_secs(60)).unwrap()
}

/// A client for which the names `good.test` and `other.test` are exceptions with the address of loopback.
pub(crate) fn local() -> Client {
    let names = Names::default();
    let names = names
        .with("good.test", &["127.0.0.1"])
        .with("other.test", &["127.0.0.1"]);
    client("good.test,other.test", names)
}

pub(crate) fn request(client: &Client, url: &str) -> Result<Get, Error> {
    Ok(Get {
        target: Target::parse(client.policy(), url)?,
        headers: Headers::default(),
        resume: None,
    })
}

/// A GET of a URL with generous limits.
pub(crate) async fn get(client: &Client, url: &str) -> Result<Download, Error> {
    client.get(&request(client, url)?, LIMITS).await
}

/// A GET of a host with the name `good.test`, and its body.
pub(crate) async fn fetch(host: &Host, limits: Limits) -> Result<Vec<u8>, Error> {
    let client = local();
    let get = request(&client, &host.url("good.test"))?;
    body(client.get(&get, limits).await?).await
}

/// The body of a download, or its error.
pub(crate) async fn body(mut download: Download) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = download.piece().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}
