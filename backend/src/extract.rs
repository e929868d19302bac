//! Extractors: they parse and check the input of handlers, so that a handler never receives unchecked text.

mod account;
mod base_url;
mod json;
mod named;
mod proxy;

pub(crate) use account::{CurrentUser, Owned};
pub(crate) use base_url::BaseUrl;
pub(crate) use json::{FromBody, Json};
pub(crate) use named::read_name;
pub(crate) use proxy::client_address;
pub use proxy::{Cidr, InvalidCidr};
