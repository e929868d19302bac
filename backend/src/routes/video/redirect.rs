//! Delivery by the bucket ([`Delivery::Redirect`]): the reply to a download is a redirect to a signed URL, so no byte
//! of the file passes through this process.
//!
//! All checks are made before, and the URL is signed for one object and a short time. Some replies come from here in
//! any case:
//!
//! - *Text*, such as playlists: the URIs in it are relative to its address, and it is compressed.
//! - *HEAD*: the signature holds for GET alone.
//! - *Conditional requests*: a client repeats their headers at the bucket, which has other validators. `If-Range` is an
//!   exception, because the client may have its validator from the bucket. If it is ours, the range is sent from here;
//!   otherwise the bucket compares it, and sends the whole file if it does not know it either.
//! - *Refusals*, such as that of a range outside of the file.

use super::range::RequestedRange;
use super::send::FileResponse;
use crate::AppState;
use crate::config::Delivery;
use crate::error::Error;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LOCATION,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use storage::Storage;

impl FileResponse {
    /// Returns `true` if the client is sent to the bucket.
    pub(super) fn is_for_bucket(&self, state: &AppState, request: &Parts, requested: &RequestedRange) -> bool {
        let headers = &request.headers;
        let is_conditional = [IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE]
            .iter()
            .any(|name| headers.contains_key(name));
        let is_own_range = headers.contains_key(IF_RANGE) && self.validators.if_range_matches(headers);
        state.config.delivery == Delivery::Redirect
            && request.method == Method::GET
            && *requested != RequestedRange::Unsatisfiable
            && self.is_media()
            && !is_conditional
            && !is_own_range
    }

    /// A redirect to the file in the bucket; `None` if the storage is a directory. Each redirect has its own URL, which
    /// expires, so it is not cached.
    pub(super) async fn redirect(&self, storage: &Storage) -> Result<Option<Response>, Error> {
        let sent = [CONTENT_TYPE, CONTENT_DISPOSITION, CACHE_CONTROL];
        let sent = sent
            .iter()
            .filter_map(|name| Some((name.as_str(), self.headers.get(name)?.to_str().ok()?)));
        let sent: Vec<_> = sent.collect();
        let Some(url) = storage.sign_read(&self.key, &sent, self.reading).await? else {
            return Ok(None);
        };
        let url = HeaderValue::try_from(url).map_err(anyhow::Error::from)?;
        let headers = [(LOCATION, url), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        Ok(Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response()))
    }
}
