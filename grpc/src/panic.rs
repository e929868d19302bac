//! Panics of handlers: without this, a panic would end the connection and all calls on it.

use crate::status;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;
use std::panic::AssertUnwindSafe;

/// Middleware: answers a call whose handler panics with `INTERNAL`. The client gets no details.
pub(crate) async fn catch(request: Request, next: Next) -> Response {
    // The state of a call is dropped with its future, so nothing half-changed is used again.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text.unwrap_or("no message"), "a handler panicked");
            status::internal().into_http()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tonic::{Code, Status};
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_panic_is_an_internal_error_without_details() {
        let handler = get(|| async { panic!("by the test") as &'static str });
        let router = Router::new().route("/", handler).layer(from_fn(catch));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!((status.code(), status.message()), (Code::Internal, "Internal error"));
    }
}
