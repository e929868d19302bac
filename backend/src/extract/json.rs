//! JSON bodies: media type, size, syntax, fields, in this order; the first that is wrong answers.

use crate::AppState;
use crate::error::{Error, Fault, Field, Refusal};
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use domain::Code;
use domain::recipe_reader::FieldProblem;
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
        Ok(Err(error)) if is_too_large(&error) => Err(Refusal::new(Code::BodyTooLarge)
            .detail(format!("accepted: up to {MAX_BYTES} bytes"))
            .into()),
        Ok(Err(_)) => Err(Refusal::new(Code::JsonInvalid).detail("the body broke off").into()),
    }
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
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let refusal = Refusal::new(Code::JsonInvalid).detail(inner.to_string());
        if !inner.is_data() || path == "." {
            return refusal;
        }
        let fault = Fault::Unread(FieldProblem::Invalid(inner.to_string()));
        Refusal {
            fields: vec![Field { name: path, fault }],
            ..refusal
        }
    })?;
    json.end()
        .map_err(|error| Refusal::new(Code::JsonInvalid).detail(error.to_string()))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Sample {
        #[allow(dead_code, reason = "only its reading matters")]
        name: Option<String>,
    }

    #[test]
    fn unreadable_json_says_where() {
        for (body, field) in [
            ("{", None),
            ("", None),
            ("[]", None),
            (r#"{"name":5}"#, Some("name")),
            (r#"{"name":"a"} x"#, None),
        ] {
            let refusal = read::<Sample>(body.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, Code::JsonInvalid, "{body}");
            assert_eq!(refusal.fields.first().map(|field| field.name.as_str()), field, "{body}");
        }
        assert!(read::<Sample>(br#"{"name":null,"more":[1]}"#).is_ok());
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
