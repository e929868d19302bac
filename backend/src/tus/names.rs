//! The names of the headers of the protocol, its version, and the refusal of a header.

use crate::error::Refusal;
use axum::http::HeaderValue;
use axum::http::header::HeaderName;
use domain::Code;

/// The version of the protocol.
pub(crate) const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");

pub(crate) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(crate) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
pub(crate) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(crate) const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
pub(crate) const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
pub(crate) const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
pub(crate) const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
pub(crate) const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(crate) const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(crate) const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub(super) const CONCAT: HeaderName = HeaderName::from_static("upload-concat");

/// The headers of requests that web pages of other origins may send.
pub(crate) const REQUEST_HEADERS: [HeaderName; 7] = [
    RESUMABLE,
    LENGTH,
    DEFER_LENGTH,
    OFFSET,
    METADATA,
    CHECKSUM,
    METHOD_OVERRIDE,
];

/// The headers of replies that web pages of other origins may read.
pub(crate) const RESPONSE_HEADERS: [HeaderName; 10] = [
    RESUMABLE,
    LENGTH,
    DEFER_LENGTH,
    OFFSET,
    METADATA,
    EXPIRES,
    TUS_VERSION,
    TUS_EXTENSION,
    TUS_MAX_SIZE,
    TUS_CHECKSUM_ALGORITHM,
];

/// The refusal of a header.
pub(super) fn invalid(name: &HeaderName, given: &str, accepted: &str) -> Refusal {
    let detail = format!("{name}: {}; accepted: {accepted}", shortened(given));
    Refusal::new(Code::UploadHeaderInvalid).detail(detail)
}

/// The beginning of a value, for a detail.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
