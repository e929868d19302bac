//! JSON bodies. Media type, size, syntax and fields are checked in this order; the first error is reported.

use crate::AppState;
use crate::error::{Error, Refusal};
use axum::body::Body;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use domain::Code;
use domain::recipe_reader::{FieldError, json, serde_error};
use http_body::Body as _;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Maximum size of a body.
const MAX_BYTES: usize = 64 << 10;
/// Time for the whole body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Extracts a parsed and checked body.
pub(crate) struct Json<T>(pub(crate) T);

/// A value that is parsed from a JSON body.
pub(crate) trait FromBody: Sized {
    /// The fields of the body as sent.
    type Wire: DeserializeOwned;

    /// Checks the fields in the order in which errors are reported.
    fn check(wire: Self::Wire) -> Result<Self, Refusal>;
}

impl<T: FromBody> FromRequest<AppState> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Error> {
        let body = checked_body(request).await?;
        Ok(Self(T::check(read(&body)?)?))
    }
}

/// `None` for a request without a body, as `curl -X POST` sends it, and for `null`.
impl<T: FromBody> OptionalFromRequest<AppState> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &AppState) -> Result<Option<Self>, Error> {
        if request.body().is_end_stream() && !request.headers().contains_key(CONTENT_TYPE) {
            return Ok(None);
        }
        let body = checked_body(request).await?;
        let wire: Option<T::Wire> = read(&body)?;
        Ok(wire.map(T::check).transpose()?.map(Self))
    }
}

/// Reads a JSON body, whose media type and size are checked.
async fn checked_body(request: Request) -> Result<Bytes, Error> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !kind.is_some_and(is_json) {
        let given = kind.unwrap_or("none");
        return Err(Refusal::new(Code::ContentTypeUnsupported)
            .detail(format!("{given}; accepted: application/json"))
            .into());
    }
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    if declared
        .and_then(|text| text.parse().ok())
        .is_some_and(|bytes: u64| bytes > MAX_BYTES as u64)
    {
        return Err(too_large().into());
    }
    read_body(request.into_body()).await
}

/// Matches `application/json` and `application/…+json`, ignoring case and parameters.
fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

async fn read_body(body: Body) -> Result<Bytes, Error> {
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, MAX_BYTES)).await {
        Err(_) => Err(Refusal::new(Code::RequestTimeout)
            .detail("the body did not arrive within 10 s")
            .into()),
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_too_large(&error) => Err(too_large().into()),
        Ok(Err(_)) => Err(Refusal::new(Code::JsonInvalid).detail("the body ended early").into()),
    }
}

fn too_large() -> Refusal {
    Refusal::new(Code::BodyTooLarge).detail(format!("accepted: up to {MAX_BYTES} bytes"))
}

/// Returns `true` if the body exceeded the limit.
fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let value = json(body).map_err(|error| {
        if error.field.is_empty() {
            let refusal = Refusal::new(Code::JsonInvalid);
            let detail = error.problem.detail().map(|detail| format!("the body is {detail}"));
            detail.into_iter().fold(refusal, Refusal::detail)
        } else {
            request_invalid(error)
        }
    })?;
    // Serde would accept a list as the fields of a struct in order.
    if value.is_array() {
        return Err(Refusal::new(Code::RequestInvalid).detail("a list; accepted: an object"));
    }
    let given = value.clone();
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        request_invalid(serde_error("", field, &error.into_inner().to_string(), &given))
    })
}

/// The refusal of valid JSON that does not have the expected structure.
fn request_invalid(error: FieldError) -> Refusal {
    let refusal = Refusal::new(Code::RequestInvalid);
    if error.field.is_empty() {
        match error.problem.detail() {
            Some(detail) => refusal.detail(detail),
            None => refusal,
        }
    } else {
        refusal.unparsed_field(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TestBody {
        #[allow(dead_code, reason = "the tests only parse it")]
        name: Option<String>,
    }

    #[test]
    fn invalid_json_names_the_field() {
        for (body, code, field) in [
            ("{", Code::JsonInvalid, None),
            ("", Code::JsonInvalid, None),
            ("[]", Code::RequestInvalid, None),
            (r#"["a"]"#, Code::RequestInvalid, None),
            ("null", Code::RequestInvalid, None),
            (r#"{"name":5}"#, Code::RequestInvalid, Some("name")),
            (r#"{"nome":"a"}"#, Code::RequestInvalid, Some("nome")),
            (r#"{"name":"a"} x"#, Code::JsonInvalid, None),
            (r#"{"name":"a","name":"b"}"#, Code::RequestInvalid, Some("name")),
        ] {
            let refusal = read::<TestBody>(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, code, "{body}");
            let field_detail = refusal.fields.first().and_then(|field| field.reason.detail());
            for detail in [refusal.detail, field_detail].into_iter().flatten() {
                assert!(!detail.contains("struct") && !detail.contains("expected"), "{detail}");
            }
            assert_eq!(refusal.fields.first().map(|field| field.name.as_str()), field, "{body}");
        }
        assert!(read::<TestBody>(br#"{"name":null}"#).is_ok());
    }

    #[test]
    fn a_body_that_is_not_json_is_refused_in_plain_words() {
        for (body, detail) in [
            ("", "the body is empty; accepted: JSON"),
            (r#"{"name":"a""#, "the body is not JSON: line 1, column 11"),
        ] {
            let refusal = read::<TestBody>(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.detail.as_deref(), Some(detail), "{body}");
        }
    }

    #[test]
    fn media_types_are_compared_without_case_and_parameters() {
        for (kind, is) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("text/plain", false),
            ("text/json", false),
            ("application/jsonp", false),
        ] {
            assert_eq!(is_json(kind), is, "{kind}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_too_large_and_not_broken() {
        let long = read_body(Body::from(vec![b' '; MAX_BYTES + 1])).await;
        assert!(matches!(long, Err(Error(app::Error::Client(refusal))) if refusal.code == Code::BodyTooLarge));
    }
}
