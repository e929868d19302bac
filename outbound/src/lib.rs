//! The only HTTP client for addresses that users give: imports by URL, webhooks, buckets of customers. It
//! asks the lookup service of the operator too.
//!
//! # Problem
//!
//! A user who gives a URL lets this service make a request from inside of its network. Without a check, that is a way
//! to the database, to the metadata of the cloud, and to each page that trusts the network (server-side request
//! forgery). A check of the URL alone is worth little: a name may have any address, another one at the next lookup
//! (rebinding), or lead to a redirect; and an address has many spellings. The host at the other end is hostile too: it
//! may answer slowly, without an end, or with another file after a cut.
//!
//! # Mechanism
//!
//! 1. [`Target::parse`] accepts `http` and `https` without credentials. It judges the URL as the parser returns it,
//!    which is also what the connection is made to. A literal address is checked here, because the HTTP client connects
//!    to it without a lookup.
//! 2. All lookups of the HTTP client go to our resolver. It asks the system once and answers only if every address is
//!    permitted by the [`Policy`]: those of the public internet (`address.rs`), and exceptions by a setting. The client
//!    connects to one of these addresses. There is no second lookup, so a name that changes its address changes
//!    nothing. A connection that is used again still leads to the address that was checked when it was made.
//! 3. Proxies of the environment are not used, because a proxy does lookups itself. The client follows no redirect: a
//!    GET ([`Client::get`]) does so in our loop, at most [`MAX_REDIRECTS`] times, and checks each target as the first
//!    one. After another origin, headers of the user are not sent any more. From `https` there is no way to `http`. A
//!    POST ([`Client::post`]) and a request to an object store ([`Client::send`]) follow none: a redirect is a reply
//!    like any other.
//! 4. A download that was cut is continued by the caller with [`Resume`], in this process or in another one: `Range`
//!    with `If-Range`, which asks for the rest only if the file is still the same. The reply is checked against the
//!    request. Without a strong validator ([`Validator`]) the download begins again.
//!
//! # Bounds
//!
//! - Time: 10 s for a connection; [`Limits`] for the first byte, for pauses and for the whole request.
//! - Size: [`Limits::max_bytes`], checked before the first byte if the host tells the size, and while it arrives. A
//!   body is never decoded, and one with a content coding is refused, so it cannot grow.
//! - Headers: 64 KiB and 100 lines of a reply; hyper stops to read at about 400 KiB. 8 KiB and 32 lines of a request.
//! - Memory: one buffer of hyper for each request, at most about 400 KiB.
//!
//! A public address of this machine is refused too, because a firewall may protect its services only from others. One
//! of another machine that is public but meant for this network only looks like any other. Ports are not restricted.
//!
//! # Rejected
//!
//! - A check of the name before the request, with the client doing its own lookup: two lookups may differ.
//! - A list of forbidden addresses for IPv6: what it forgets is reachable. `2000::/3` is what exists.
//! - HTTP/2: one connection for several requests would share limits between accounts, and downloads gain nothing.

mod address;
mod client;
mod download;
mod error;
mod headers;
mod limits;
mod policy;
mod post;
mod resolver;
mod send;
mod target;
mod validator;

pub use client::{Client, MAX_REDIRECTS};
pub use download::{Download, Get, Resume};
pub use error::{Error, Phase};
pub use headers::Headers;
pub use limits::Limits;
pub use policy::{BadException, Policy};
pub use post::{Answer, Post, Reply};
pub use reqwest::StatusCode;
pub use resolver::{Resolver, SystemResolver};
pub use send::{Incoming, Outgoing};
pub use target::Target;
pub use validator::Validator;
