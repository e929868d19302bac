//! The tus protocol 1.0 (<https://tus.io/protocols/resumable-upload>): its headers, and the middleware that all
//! replies of its routes pass through. The handlers are in `routes/tus.rs`.

mod body;
mod headers;
mod metadata;
mod names;

pub(crate) use body::incoming;
pub(crate) use headers::{CreationHeaders, PatchHeaders, Version};
pub(crate) use metadata::check_media_type;
pub(crate) use names::{
    DEFER_LENGTH, EXPIRES, LENGTH, METADATA, METHOD_OVERRIDE, OFFSET, REQUEST_HEADERS, RESPONSE_HEADERS, RESUMABLE,
    TUS_CHECKSUM_ALGORITHM, TUS_EXTENSION, TUS_MAX_SIZE, TUS_VERSION, VERSION, shortened,
};

use axum::extract::Request;
use axum::http::{HeaderValue, Method};
use axum::response::Response;

/// The path of uploads; the path of one upload begins with it.
const PATH: &str = "/api/uploads";

/// Adds the version of the protocol to a reply, as it requires for all replies.
pub(crate) async fn add_version(mut response: Response) -> Response {
    response.headers_mut().insert(RESUMABLE, VERSION);
    response
}

/// Returns `true` if a path belongs to the protocol.
pub(crate) fn is_tus_path(path: &str) -> bool {
    path.strip_prefix(PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Replaces the method of a request with that of `X-HTTP-Method-Override`, for clients whose environment knows only GET
/// and POST.
pub(crate) fn override_method(mut request: Request) -> Request {
    let instead = request.headers().get(METHOD_OVERRIDE).map(HeaderValue::as_bytes);
    let method = match instead {
        Some(b"PATCH") => Method::PATCH,
        Some(b"DELETE") => Method::DELETE,
        Some(b"HEAD") => Method::HEAD,
        _ => return request,
    };
    if *request.method() == Method::POST && is_tus_path(request.uri().path()) {
        *request.method_mut() = method;
    }
    request
}
