//! Errors of use cases as gRPC statuses.
//!
//! The status follows from the HTTP status of the code, so HTTP and gRPC agree. The code itself is the reason of a
//! `google.rpc.ErrorInfo` with the domain `rushes`; invalid fields are a `google.rpc.BadRequest`, and a time to wait is
//! a `google.rpc.RetryInfo`.

use app::{Error, Refusal};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use domain::{Code, Language};
use std::collections::HashMap;
use tonic::{Code as Grpc, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Maximum size of a message that a client sends, in bytes.
pub(crate) const MESSAGE_BYTES: usize = 64 << 10;

/// The domain of the reasons.
const DOMAIN: &str = "rushes";

/// The status of an error. An internal one is logged, and the client gets no details.
pub(crate) fn status(error: Error) -> Status {
    match error {
        Error::Client(refusal) => refused(&refusal),
        Error::Internal(error) => {
            tracing::error!(error = format!("{error:#}"), "a call failed");
            internal()
        }
    }
}

/// The status of a fault of the server, without details of the fault.
pub(crate) fn internal() -> Status {
    refused(&Refusal::new(Code::Internal))
}

/// Middleware: tells that a message is too large or no message, as the HTTP API tells it of a body. tonic says
/// `OUT_OF_RANGE` and `INTERNAL` then, the latter without the details that [`internal`] has.
pub(crate) async fn refuse_unreadable(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let Some(status) = Status::from_header_map(response.headers()) else {
        return response;
    };
    let refusal = match status.code() {
        Grpc::OutOfRange => {
            Refusal::new(Code::BodyTooLarge).detail(format!("accepted: messages of up to {MESSAGE_BYTES} bytes"))
        }
        Grpc::Internal if status.details().is_empty() => Refusal::new(Code::RequestInvalid).detail(status.message()),
        _ => return response,
    };
    refused(&refusal).into_http()
}

fn refused(refusal: &Refusal) -> Status {
    let code = refusal.code;
    let mut details = ErrorDetails::new();
    details.set_error_info(code.as_str(), DOMAIN, HashMap::new());
    for field in &refusal.fields {
        let description = field.reason.detail().or_else(|| refusal.detail.clone());
        details.add_bad_request_violation(
            &field.name,
            description.unwrap_or_else(|| field.reason.code().to_owned()),
        );
    }
    if let Some(wait) = refusal.retry_after {
        details.set_retry_info(Some(wait));
    }
    let sentence = code.sentence(Language::En);
    let message = match &refusal.detail {
        Some(detail) => format!("{sentence}: {detail}"),
        None => sentence.to_owned(),
    };
    Status::with_error_details(grpc_code(code), message, details)
}

fn grpc_code(code: Code) -> Grpc {
    match code.status() {
        401 => Grpc::Unauthenticated,
        403 => Grpc::PermissionDenied,
        404 | 410 => Grpc::NotFound,
        409 | 412 | 422 => Grpc::FailedPrecondition,
        413 | 429 | 507 => Grpc::ResourceExhausted,
        503 => Grpc::Unavailable,
        500 => Grpc::Internal,
        _ => Grpc::InvalidArgument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_status_carries_the_code_the_field_and_the_time_to_wait() {
        let refusal = Refusal::of_field("page_size", Code::QueryInvalid).detail("page_size=0; accepted: 1 to 100");
        let status = status(refusal.into());
        assert_eq!(status.code(), Grpc::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "query_invalid");
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "page_size");
        let filling = Refusal::new(Code::CatalogFilling).retry_after(Duration::from_secs(2));
        let filling = super::status(filling.into());
        assert_eq!(filling.code(), Grpc::Unavailable);
        let retry = filling.get_error_details().retry_info().unwrap().retry_delay;
        assert_eq!(retry, Some(Duration::from_secs(2)));
    }

    #[test]
    fn an_internal_error_has_no_details() {
        let status = status(Error::Internal(std::io::Error::other("secret").into()));
        assert_eq!((status.code(), status.message()), (Grpc::Internal, "Internal error"));
    }
}
