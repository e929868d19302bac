//! Reads the header `Idempotency-Key` and writes the replies to requests that have it
//! (draft-ietf-httpapi-idempotency-key-header-07). [`app::idempotency`] executes these requests.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{Principal, Sender, full_path};
use app::idempotency::{Outcome, Request};
use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::Code;
use serde::Serialize;
use utoipa::IntoParams;

/// The request header.
pub(crate) const KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks a replayed reply.
pub(crate) const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Maximum length of a key in bytes.
const KEY_BYTES: usize = 255;

/// The request header in the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(
    dead_code,
    reason = "describes the header in the OpenAPI document; `read_key` parses it"
)]
pub(crate) struct IdempotencyKeyHeader {
    /// A unique text of your choice for this request, such as a UUID. A request that is sent again with the same key
    /// within 24 hours creates nothing and gets the first reply again.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

/// The idempotency key of a create request, if it has one. It is in the head of the request, so a handler can take the
/// key before it reads a long body.
pub(crate) struct IdempotencyKey {
    key: Option<String>,
    /// Method and path of the request.
    operation: String,
}

impl IdempotencyKey {
    /// The request of a principal under this key.
    pub(crate) fn of(self, principal: Principal) -> Request {
        Request {
            user: principal.account,
            key: self.key,
            operation: self.operation,
        }
    }

    /// The request of the sender of an upload under this key. Keys belong to accounts, so that of a guest is ignored.
    pub(crate) fn of_sender(self, sender: &Sender) -> Request {
        match sender {
            Sender::Account(principal) => self.of(*principal),
            Sender::Guest(guest) => Request {
                user: guest.account,
                key: None,
                operation: self.operation,
            },
        }
    }
}

impl FromRequestParts<AppState> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Error> {
        Ok(Self {
            key: read_key(&parts.headers)?,
            operation: format!("{} {}", parts.method, full_path(parts)),
        })
    }
}

/// Reads the header. The draft puts the key in quotes (a structured field string); most clients send it without.
fn read_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut given = headers.get_all(&KEY_HEADER).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let bare = text.trim();
    let key = bare
        .strip_prefix('"')
        .and_then(|key| key.strip_suffix('"'))
        .unwrap_or(bare);
    let is_valid = (1..=KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if is_valid && given.next().is_none() {
        return Ok(Some(key.to_owned()));
    }
    let given: String = text.chars().take(100).collect();
    let accepted = format!("accepted: one of 1 to {KEY_BYTES} visible ASCII characters");
    Err(Refusal::new(Code::IdempotencyKeyInvalid).detail(format!("{given:?}; {accepted}")))
}

/// The reply to a create request: 201 with the resource, or the stored reply with `Idempotent-Replayed: true`.
pub(crate) struct Created<R>(pub(crate) Outcome<R>);

impl<R: Serialize> IntoResponse for Created<R> {
    fn into_response(self) -> Response {
        respond(StatusCode::CREATED, self.0)
    }
}

/// The reply to a request whose resource is created later: 202, otherwise like [`Created`].
pub(crate) struct Accepted<R>(pub(crate) Outcome<R>);

impl<R: Serialize> IntoResponse for Accepted<R> {
    fn into_response(self) -> Response {
        respond(StatusCode::ACCEPTED, self.0)
    }
}

fn respond<R: Serialize>(status: StatusCode, outcome: Outcome<R>) -> Response {
    match outcome {
        Outcome::Executed(reply) => (status, Json(reply)).into_response(),
        Outcome::Replayed(reply) => {
            let headers = [(CONTENT_TYPE, "application/json"), (REPLAYED_HEADER, "true")];
            (status, headers, reply).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Result<Option<String>, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY_HEADER, value.parse().unwrap());
        }
        read_key(&headers).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_key_is_one_visible_word_with_or_without_quotes() {
        assert_eq!(key(&[]), Ok(None));
        for given in ["a-1", "\"a-1\"", "  a-1 "] {
            assert_eq!(key(&[given]), Ok(Some("a-1".to_owned())), "{given}");
        }
        assert!(key(&[&"x".repeat(255)]).is_ok());
        for wrong in [
            &["" as &str] as &[_],
            &["\"\""],
            &["a b"],
            &["é"],
            &["a", "a"],
            &[&"x".repeat(256)],
        ] {
            assert_eq!(key(wrong), Err(Code::IdempotencyKeyInvalid), "{wrong:?}");
        }
    }
}
