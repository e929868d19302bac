//! Errors of handlers and extractors as replies. `problem.rs` writes them as problem details (RFC 9457).

pub(crate) use app::Refusal;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::Code;

/// The error of a handler or an extractor. Every error of a use case becomes one with `?`.
#[derive(Debug)]
pub(crate) struct Error(pub(crate) app::Error);

impl<E: Into<app::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self.0 {
            app::Error::Client(refusal) => reply(refusal),
            app::Error::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "a request failed");
                reply(Refusal::new(Code::Internal))
            }
        }
    }
}

/// An empty reply with the refusal as an extension. `problem::render` writes the body later, because it depends on the
/// language and the id of the request.
pub(crate) fn reply(refusal: Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = status.into_response();
    response.extensions_mut().insert(refusal);
    response
}
