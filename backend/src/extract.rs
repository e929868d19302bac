//! Extractors: they parse and check the input of handlers, so that a handler never receives unchecked text.

mod base_url;
mod json;
mod named;
mod path;
mod principal;
mod proxy;

pub(crate) use base_url::BaseUrl;
pub(crate) use json::{FromBody, Json};
pub(crate) use named::{PresetName, read_name};
pub(crate) use path::{full_path, read_path};
pub(crate) use principal::{Owned, Principal};
pub(crate) use proxy::client_address;
pub use proxy::{Cidr, InvalidCidr};
