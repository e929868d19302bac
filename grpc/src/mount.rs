//! One port for HTTP and gRPC.

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use tower::{ServiceExt, service_fn};

/// Joins the two APIs. A call to a service that does not exist is answered by the gRPC side with `UNIMPLEMENTED`.
pub fn mount(http: Router, grpc: Router) -> Router {
    let chosen = service_fn(move |request: Request| {
        let router = if is_grpc(&request) { &grpc } else { &http };
        router.clone().oneshot(request)
    });
    Router::new().fallback_service(chosen)
}

/// Returns `true` for the content types of gRPC over HTTP/2: `application/grpc`, `application/grpc+proto`, …
fn is_grpc(request: &Request) -> bool {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .map_or(&b""[..], |kind| kind.as_bytes());
    kind.strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn calls_are_known_by_their_content_type() {
        for (kind, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let request = Request::builder()
                .header(CONTENT_TYPE, kind)
                .body(Body::empty())
                .unwrap();
            assert_eq!(is_grpc(&request), is, "{kind}");
        }
        assert!(!is_grpc(&Request::new(Body::empty())));
    }
}
