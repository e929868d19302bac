//! The body of every error reply: problem details (RFC 9457), for refusals of our handlers and for bare errors of axum
//! alike.

use crate::error::Refusal;
use crate::request_context::RequestContext;
use api::problem::{Problem, WrongField};
use axum::body::Body;
use axum::http::header::{CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use domain::{Code, Language};
use std::any::Any;

/// The problem details of a refusal.
fn problem_details(refusal: &Refusal, context: &RequestContext) -> Problem {
    let RequestContext {
        language, request_id, ..
    } = context;
    let (message, title) = (refusal.code.sentence(*language), refusal.code.sentence(Language::En));
    let errors = refusal.fields.iter().map(|field| WrongField {
        field: field.name.clone(),
        code: field.reason.code().to_owned(),
        message: field.reason.sentence(*language).to_owned(),
        detail: field.reason.detail(),
    });
    Problem {
        kind: refusal.code.type_uri(),
        title: title.to_owned(),
        status: refusal.code.status(),
        detail: refusal.detail.clone().unwrap_or_else(|| title.to_owned()),
        code: refusal.code.as_str().to_owned(),
        message: message.to_owned(),
        msg: is_about_token(refusal.code).then(|| message.to_owned()),
        request_id: request_id.to_string(),
        errors: errors.collect(),
    }
}

const fn is_about_token(code: Code) -> bool {
    matches!(code, Code::TokenMissing | Code::TokenInvalid | Code::TokenExpired)
}

/// Writes problem details into an error reply. Other replies pass unchanged.
pub(crate) fn render(mut response: Response, context: &RequestContext) -> Response {
    let refusal = match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => refusal,
        None if is_framework_error(&response) => framework_refusal(response.status()),
        None => return response,
    };
    let body = body(&refusal, context);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(context.language.tag()));
    headers.insert(CONTENT_LENGTH, body.len().into());
    if let Some(wait) = refusal.retry_after {
        headers.insert(RETRY_AFTER, wait.as_secs().max(1).into());
    }
    if refusal.code.status() == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge(refusal.code)));
    }
    *response.body_mut() = Body::from(body);
    response
}

/// The JSON body of an error reply.
pub(crate) fn body(refusal: &Refusal, context: &RequestContext) -> Vec<u8> {
    serde_json::to_vec(&problem_details(refusal, context)).unwrap_or_default()
}

/// The value of `WWW-Authenticate` (RFC 6750 §3). A request without a token gets no error attribute.
const fn challenge(code: Code) -> &'static str {
    match code {
        Code::TokenInvalid | Code::TokenExpired => r#"Bearer realm="rushes", error="invalid_token""#,
        _ => r#"Bearer realm="rushes""#,
    }
}

/// Returns `true` if a reply is an error of axum or tower, which is neither JSON nor a page.
fn is_framework_error(response: &Response) -> bool {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let ours = kind.is_some_and(|kind| kind.starts_with(b"application/json") || kind.starts_with(b"text/html"));
    (status.is_client_error() || status.is_server_error()) && !ours
}

/// axum adds the header `Allow` after this, so the detail can only refer to it.
fn framework_refusal(status: StatusCode) -> Refusal {
    let refusal = Refusal::new(code_of(status));
    match refusal.code {
        Code::MethodNotAllowed => refusal.detail("accepted: the methods in the header Allow of this reply"),
        _ => refusal,
    }
}

fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::NOT_FOUND => Code::RouteNotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
        StatusCode::PAYLOAD_TOO_LARGE => Code::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::ContentTypeUnsupported,
        StatusCode::RANGE_NOT_SATISFIABLE => Code::RangeInvalid,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        status if status.is_client_error() => Code::QueryInvalid,
        _ => Code::Internal,
    }
}

/// Logs a panic of a handler and answers `internal`.
#[allow(
    clippy::needless_pass_by_value,
    reason = "the signature that `CatchPanicLayer` requires"
)]
pub(crate) fn panic_response(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(panic = text, "a handler panicked");
    crate::error::reply(Refusal::new(Code::Internal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use domain::recipe_reader::{FieldError, FieldProblem};

    fn context(language: Language) -> RequestContext {
        RequestContext::without_request("r-1".into(), language)
    }

    #[test]
    fn an_invalid_field_is_reported_in_the_language_of_the_client() {
        let problem = FieldProblem::Invalid("52; accepted: 0 to 51".to_owned());
        let error = FieldError {
            field: "outputs[0].video.crf".to_owned(),
            problem,
        };
        let refusal = Refusal::new(Code::RecipeInvalid).unparsed_field(error);
        insta::assert_json_snapshot!(problem_details(&refusal, &context(Language::En)), @r#"
        {
          "type": "/docs/errors#recipe_invalid",
          "title": "The recipe is not valid",
          "status": 400,
          "detail": "The recipe is not valid",
          "code": "recipe_invalid",
          "message": "The recipe is not valid",
          "request_id": "r-1",
          "errors": [
            {
              "field": "outputs[0].video.crf",
              "code": "invalid_value",
              "message": "Value not accepted",
              "detail": "52; accepted: 0 to 51"
            }
          ]
        }
        "#);
        insta::assert_json_snapshot!(problem_details(&refusal, &context(Language::Es)), @r#"
        {
          "type": "/docs/errors#recipe_invalid",
          "title": "The recipe is not valid",
          "status": 400,
          "detail": "The recipe is not valid",
          "code": "recipe_invalid",
          "message": "La receta no es válida",
          "request_id": "r-1",
          "errors": [
            {
              "field": "outputs[0].video.crf",
              "code": "invalid_value",
              "message": "Valor no aceptado",
              "detail": "52; accepted: 0 to 51"
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_token_error_has_its_sentence_in_message_and_msg() {
        let response = render(
            crate::error::reply(Refusal::new(Code::TokenExpired)),
            &context(Language::Es),
        );
        assert_eq!(
            response.headers()["www-authenticate"],
            r#"Bearer realm="rushes", error="invalid_token""#
        );
        let problem = problem_details(&Refusal::new(Code::TokenExpired), &context(Language::Es));
        insta::assert_json_snapshot!(problem, @r#"
        {
          "type": "/docs/errors#token_expired",
          "title": "Token has expired",
          "status": 401,
          "detail": "Token has expired",
          "code": "token_expired",
          "message": "Token has expired",
          "msg": "Token has expired",
          "request_id": "r-1"
        }
        "#);
    }

    #[test]
    fn an_error_of_the_framework_gets_a_code_and_keeps_its_headers() {
        let bare = (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET,HEAD")]).into_response();
        let response = render(bare, &context(Language::En));
        assert_eq!(response.headers()["allow"], "GET,HEAD");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["content-language"], "en");
    }

    #[test]
    fn a_successful_reply_is_not_changed() {
        let response = render("fine".into_response(), &context(Language::En));
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    }
}
