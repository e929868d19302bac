//! Extractors: they parse and check the input of handlers, so that a handler never receives unchecked text.

mod base_url;
mod guest;
mod import;
mod json;
mod named;
mod path;
mod principal;
mod proxy;
mod search;
mod upload;
mod webhook;

pub(crate) use base_url::BaseUrl;
pub(crate) use guest::LinkTokenPath;
pub(crate) use json::{FromBody, Json};
pub(crate) use named::{PresetName, read_name};
pub(crate) use path::{full_path, read_path};
pub(crate) use principal::{
    LibraryId, Owned, Principal, Sender, StreamViewer, TOKEN_COOKIE, VideoPath, Viewer, bearer, guest_session,
};
pub(crate) use proxy::client_address;
pub(crate) use search::{AsyncViewer, PREFER, RESPOND_ASYNC, SearchPath};
pub(crate) use upload::UploadPath;
pub(crate) use webhook::DeliveryPath;
