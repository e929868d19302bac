//! The operations of guests besides their uploads (`tus.rs`, `uploads.rs`): look at a link, and begin a session.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json as Body, LinkTokenPath, guest_session};
use crate::openapi::problems;
use crate::request_context::RequestContext;
use crate::routes::auth::address_of;
use crate::token::GUEST_TTL_S;
use api::auth::Token;
use api::guest_links::{GuestSessionBody, GuestView};
use app::guest_links;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::Utc;

/// The password in a request for a session; empty without one.
#[derive(Default)]
pub(crate) struct GivenPassword(String);

impl FromBody for GivenPassword {
    type Wire = GuestSessionBody;

    fn check(body: GuestSessionBody) -> Result<Self, Refusal> {
        Ok(Self(body.password.unwrap_or_default()))
    }
}

problems!(ShowProblems: GuestLinkNotFound, GuestLinkRevoked, GuestLinkExpired, Unavailable);
problems!(SessionProblems: RequestInvalid, JsonInvalid, GuestPasswordWrong, GuestLinkNotFound, RequestTimeout, GuestLinkRevoked,
    GuestLinkExpired, BodyTooLarge, ContentTypeUnsupported, RateLimited, Unavailable);

/// Shows what a guest link accepts.
///
/// Nothing about the account that issued it.
#[utoipa::path(get, operation_id = "show_guest", path = "/guest/{token}", tag = "guests", params(("token" = String, Path, description = "The token of the link")),
    responses((status = 200, description = "What the link accepts", body = GuestView), ShowProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    LinkTokenPath(token): LinkTokenPath,
) -> Result<Json<GuestView>, Error> {
    let link = guest_links::show(&state.app, &token).await?;
    let limit = i64::try_from(state.app.settings.limits.max_upload_bytes).unwrap_or(i64::MAX);
    Ok(Json(GuestView {
        max_bytes: link.max_bytes.min(limit),
        remaining_uploads: (link.max_uploads - link.uploads).max(0),
        expires_at: link.expires_at().into(),
        password_required: link.password_hash.is_some(),
        title: link.title,
    }))
}

/// Begins a session of a guest.
///
/// The token of the reply opens `/api/uploads` for the uploads of this session, and nothing else. A request with it as
/// bearer token renews the session without the password. After several wrong passwords, the network of the client has
/// to wait.
#[utoipa::path(post, operation_id = "begin_guest_session", path = "/guest/{token}/session", tag = "guests",
    params(("token" = String, Path, description = "The token of the link")),
    request_body(content = Option<GuestSessionBody>, description = "The password, or no body"),
    responses((status = 200, description = "The token of the session", body = Token), SessionProblems))]
pub(crate) async fn begin_session(
    State(state): State<AppState>,
    LinkTokenPath(token): LinkTokenPath,
    context: RequestContext,
    headers: HeaderMap,
    body: Option<Body<GivenPassword>>,
) -> Result<Json<Token>, Error> {
    let GivenPassword(password) = body.map(|Body(given)| given).unwrap_or_default();
    let known = guest_session(&headers, &state);
    let session = guest_links::begin_session(&state.app, &token, password, known, address_of(&context)).await?;
    Ok(Json(Token {
        token: state.tokens.issue_guest(&session, Utc::now())?,
        token_type: "Bearer".to_owned(),
        expires_in: GUEST_TTL_S,
    }))
}
