//! JSON bodies: media type, size, syntax, fields, in this order; the first that is wrong answers.

use crate::AppState;
use crate::error::{Error, Refusal};
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::Bytes;
use domain::Code;
use domain::recipe_reader::{FieldError, complaint, json};
use serde::de::DeserializeOwned;
use std::time::Duration;

const MAX_BYTES: usize = 64 << 10;
const WITHIN: Duration = Duration::from_secs(10);

/// A checked body.
pub(crate) struct Json<T>(pub(crate) T);

/// Something that is made from a JSON body by checking it.
pub(crate) trait FromBody: Sized {
    /// What stands on the wire.
    type Wire: DeserializeOwned;

    /// Checks it, in the order in which a client is told.
    fn check(wire: Self::Wire) -> Result<Self, Refusal>;
}

impl<T: FromBody> FromRequest<AppState> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &AppState) -> Result<Self, Error> {
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
        let body = whole(request.into_body()).await?;
        Ok(Self(T::check(read(&body)?)?))
    }
}

/// `application/json` and `application/…+json`, whatever the case and the parameters.
fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

async fn whole(body: Body) -> Result<Bytes, Error> {
    match tokio::time::timeout(WITHIN, axum::body::to_bytes(body, MAX_BYTES)).await {
        Err(_) => Err(Refusal::new(Code::RequestTimeout)
            .detail("the body did not arrive within 10 s")
            .into()),
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_too_large(&error) => Err(too_large().into()),
        Ok(Err(_)) => Err(Refusal::new(Code::JsonInvalid).detail("the body broke off").into()),
    }
}

fn too_large() -> Refusal {
    Refusal::new(Code::BodyTooLarge).detail(format!("accepted: up to {MAX_BYTES} bytes"))
}

/// The limit hides two errors deep and has no public type here; its sentence is stable.
fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string() == "length limit exceeded" {
            return true;
        }
        cause = error.source();
    }
    false
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let value = json(body).map_err(|fault| {
        if fault.field.is_empty() {
            let refusal = Refusal::new(Code::JsonInvalid);
            fault.problem.detail().into_iter().fold(refusal, Refusal::detail)
        } else {
            of_request(fault)
        }
    })?;
    // Serde reads a list as the fields of an object, in their order; nobody means that.
    if value.is_array() {
        return Err(Refusal::new(Code::RequestInvalid).detail("a list; accepted: an object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let below = if path == "." { String::new() } else { path };
        of_request(complaint("", below, &error.into_inner().to_string()))
    })
}

/// The refusal of JSON that is none of what is asked for.
fn of_request(wrong: FieldError) -> Refusal {
    let refusal = Refusal::new(Code::RequestInvalid);
    if wrong.field.is_empty() {
        match wrong.problem.detail() {
            Some(detail) => refusal.detail(detail),
            None => refusal,
        }
    } else {
        refusal.unread(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code, reason = "only its reading matters")]
        name: Option<String>,
    }

    #[test]
    fn unreadable_json_says_where() {
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
            let refusal = read::<Sample>(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, code, "{body}");
            let told = refusal.fields.first().and_then(|field| field.fault.detail());
            for word in [refusal.detail, told].into_iter().flatten() {
                assert!(!word.contains("struct") && !word.contains("expected"), "{word}");
            }
            assert_eq!(refusal.fields.first().map(|field| field.name.as_str()), field, "{body}");
        }
        assert!(read::<Sample>(br#"{"name":null}"#).is_ok());
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
    async fn a_body_over_the_limit_is_told_from_a_broken_one() {
        let long = whole(Body::from(vec![b' '; MAX_BYTES + 1])).await;
        assert!(matches!(long, Err(Error::Client(refusal)) if refusal.code == Code::BodyTooLarge));
    }
}
