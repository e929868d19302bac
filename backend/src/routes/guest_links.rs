//! Guest links as their owner sees them: created, listed, changed and removed.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{BaseUrl, FromBody, GuestLinkPath, Json as Body, Principal};
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::reply::SuccessMessage;
use crate::request_context::RequestContext;
use crate::upload::choice;
use api::guest_links::{GuestLinkList, GuestLinkPatchBody, GuestLinkView, NewGuestLinkBody};
use api::reply::Message;
use app::guest_links::{self, LinkToken, NewLink};
use app::idempotency::{Fingerprint, Outcome};
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use domain::account::Password;
use domain::{Code, UserId};
use entity::guest_link::{self, Changes};
use serde_json::json;

/// Maximum length of a title.
const TITLE_CHARS: usize = 200;
/// Maximum number of uploads of a link.
const UPLOADS_MAX: i64 = 1_000;
/// Time until a link expires, if the request tells none.
const LIFETIME: TimeDelta = TimeDelta::days(7);
/// Maximum time until a link expires.
const LIFETIME_MAX: TimeDelta = TimeDelta::days(3_660);

/// A checked new link whose preset is not looked up yet.
pub(crate) struct NewLinkForm {
    body: NewGuestLinkBody,
    expires_at_ms: i64,
    password: Option<Password>,
    fingerprint: Fingerprint,
}

impl FromBody for NewLinkForm {
    type Wire = NewGuestLinkBody;

    fn check(mut body: NewGuestLinkBody) -> Result<Self, Refusal> {
        check_values(body.title.as_deref(), body.max_bytes, body.max_uploads)?;
        let expires_at = body.expires_at.map(expiry).transpose()?;
        let password = body.password.take().map(Password::parse).transpose();
        let password = password.map_err(|code| Refusal::of_field("password", code))?;
        if body.preset.is_some() && body.recipe.is_some() {
            return Err(Refusal::new(Code::PresetAndRecipe));
        }
        // A fast hash of the password would be worth less than the slow one, so it does not count.
        let fingerprint = Fingerprint::of(&json!([
            body.title,
            body.max_bytes,
            body.max_uploads,
            body.expires_at,
            password.is_some(),
            body.preset,
            body.recipe,
        ]));
        Ok(Self {
            expires_at_ms: expires_at.unwrap_or_else(|| (Utc::now() + LIFETIME).timestamp_millis()),
            password,
            fingerprint,
            body,
        })
    }
}

impl FromBody for Changes {
    type Wire = GuestLinkPatchBody;

    fn check(body: GuestLinkPatchBody) -> Result<Self, Refusal> {
        check_values(body.title.as_deref(), body.max_bytes, body.max_uploads)?;
        Ok(Self {
            title: body.title.map(|title| Some(title).filter(|title| !title.is_empty())),
            max_bytes: body.max_bytes,
            max_uploads: body.max_uploads,
            expires_at_ms: body.expires_at.map(expiry).transpose()?,
            revoked: body.revoked,
        })
    }
}

fn check_values(title: Option<&str>, max_bytes: Option<i64>, max_uploads: Option<i64>) -> Result<(), Refusal> {
    let is_line = |text: &str| text.chars().count() <= TITLE_CHARS && !text.contains(char::is_control);
    if title.is_some_and(|title| !is_line(title)) {
        let accepted = format!("accepted: at most {TITLE_CHARS} characters in one line");
        return Err(Refusal::of_invalid_field("title", accepted));
    }
    if let Some(bytes) = max_bytes.filter(|bytes| *bytes < 1) {
        return Err(Refusal::of_invalid_field(
            "max_bytes",
            format!("{bytes}; accepted: 1 or more"),
        ));
    }
    if let Some(count) = max_uploads.filter(|count| !(1..=UPLOADS_MAX).contains(count)) {
        let detail = format!("{count}; accepted: 1 to {UPLOADS_MAX}");
        return Err(Refusal::of_invalid_field("max_uploads", detail));
    }
    Ok(())
}

/// The expiry in milliseconds since 1970.
fn expiry(at: DateTime<Utc>) -> Result<i64, Refusal> {
    let now = Utc::now();
    if at <= now || at > now + LIFETIME_MAX {
        let detail = format!("{}; accepted: a time within the next ten years", at.to_rfc3339());
        return Err(Refusal::of_invalid_field("expires_at", detail));
    }
    Ok(at.timestamp_millis())
}

impl NewLinkForm {
    async fn resolve(self, state: &AppState, user: UserId, token: LinkToken) -> Result<NewLink, Error> {
        let Self {
            body,
            expires_at_ms,
            password,
            fingerprint,
        } = self;
        let limit = i64::try_from(state.app.settings.limits.max_upload_bytes).unwrap_or(i64::MAX);
        Ok(NewLink {
            token,
            title: body.title.filter(|title| !title.is_empty()),
            max_bytes: body.max_bytes.unwrap_or(limit).min(limit),
            max_uploads: body.max_uploads.unwrap_or(1),
            expires_at_ms,
            password,
            choice: choice(state, user, body.preset, body.recipe).await?,
            fingerprint,
        })
    }
}

fn view(link: &guest_link::Model) -> GuestLinkView {
    GuestLinkView {
        id: link.id,
        url: None,
        token: None,
        title: link.title.clone(),
        max_bytes: link.max_bytes,
        max_uploads: link.max_uploads,
        uploads: link.uploads,
        expires_at: link.expires_at().into(),
        password_required: link.password_hash.is_some(),
        preset: link.preset.clone(),
        recipe: link.recipe.clone(),
        revoked: link.revoked,
        created_at: link.created_at,
    }
}

problems!(ListProblems: TokenMissing, TokenInvalid, TokenExpired, Unavailable);
problems!(NewProblems: PresetUnknown, PresetAndRecipe, RecipeInvalid, RequestInvalid, JsonInvalid, PasswordTooShort, PasswordTooLong,
    IdempotencyKeyInvalid, TokenMissing, TokenInvalid, TokenExpired, RequestTimeout, GuestLinksTooMany, IdempotencyKeyInUse,
    BodyTooLarge, ContentTypeUnsupported, IdempotencyKeyReused, RateLimited, Unavailable);
problems!(UpdateProblems: RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid, TokenExpired, GuestLinkNotFound, RequestTimeout,
    BodyTooLarge, ContentTypeUnsupported, Unavailable);
problems!(LinkProblems: TokenMissing, TokenInvalid, TokenExpired, GuestLinkNotFound, Unavailable);

/// Lists the guest links of the account.
///
/// All on one page, also those that are revoked or have expired.
#[utoipa::path(get, operation_id = "list_guest_links", path = "/guest-links", tag = "guests", security(("bearer" = [])),
    responses((status = 200, description = "The links", body = GuestLinkList), ListProblems))]
pub(crate) async fn list(State(state): State<AppState>, principal: Principal) -> Result<Json<GuestLinkList>, Error> {
    let links = guest_link::list(&state.app.db, principal.account).await?;
    Ok(Json(GuestLinkList {
        data: links.iter().map(view).collect(),
        next_cursor: None,
    }))
}

/// Creates a guest link.
///
/// Send its `url` to those who shall upload files. The reply is the only one with it: a reply to a repeated request
/// with the same `Idempotency-Key` has none. An account may have up to 100 links.
#[utoipa::path(post, operation_id = "create_guest_link", path = "/guest-links", tag = "guests", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = NewGuestLinkBody, description = "The limits of the link, and the recipe of its tasks"),
    responses((status = 201, description = "The link", body = GuestLinkView), NewProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    base: BaseUrl,
    key: IdempotencyKey,
    Body(form): Body<NewLinkForm>,
) -> Result<Created<GuestLinkView>, Error> {
    let token = LinkToken::random()?;
    let fingerprint = async |form: NewLinkForm| Ok::<_, Error>(form.fingerprint);
    let work = async |form: NewLinkForm, guard| {
        let new = form.resolve(&state, principal.account, token.clone()).await?;
        let created = guest_links::create(&state.app, principal.account, new, &guard, view);
        Ok::<_, Error>(created.await?)
    };
    let outcome = key.of(principal).once(&state.app, form, fingerprint, work).await?;
    Ok(Created(match outcome {
        // Added here, because the stored reply must not have it.
        Outcome::Executed(link) => Outcome::Executed(GuestLinkView {
            url: Some(format!("{}/api/guest/{}", base.0, token.secret())),
            token: Some(token.secret().to_owned()),
            ..link
        }),
        replayed @ Outcome::Replayed(_) => replayed,
    }))
}

/// Shows a guest link of the account.
///
/// With the number of its uploads, and without its address.
#[utoipa::path(get, operation_id = "show_guest_link", path = "/guest-links/{id}", tag = "guests", params(("id" = i64, Path, description = "The id of the link")),
    security(("bearer" = [])), responses((status = 200, description = "The link", body = GuestLinkView), LinkProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    principal: Principal,
    GuestLinkPath(id): GuestLinkPath,
) -> Result<Json<GuestLinkView>, Error> {
    let found = guest_link::of_user(&state.app.db, principal.account, id).await?;
    Ok(Json(view(&found.ok_or(Code::GuestLinkNotFound)?)))
}

/// Changes or revokes a guest link.
///
/// Absent fields stay. `revoked` ends all sessions of guests at once.
#[utoipa::path(patch, operation_id = "update_guest_link", path = "/guest-links/{id}", tag = "guests", params(("id" = i64, Path, description = "The id of the link")),
    security(("bearer" = [])), request_body(content = GuestLinkPatchBody, description = "The fields to change"),
    responses((status = 200, description = "The link", body = GuestLinkView), UpdateProblems))]
pub(crate) async fn update(
    State(state): State<AppState>,
    principal: Principal,
    GuestLinkPath(id): GuestLinkPath,
    Body(changes): Body<Changes>,
) -> Result<Json<GuestLinkView>, Error> {
    let changed = guest_links::update(&state.app, principal.account, id, changes).await?;
    Ok(Json(view(&changed)))
}

/// Removes a guest link.
///
/// Its token is unknown then, and its unfinished uploads expire. Tasks of its uploads stay.
#[utoipa::path(delete, operation_id = "remove_guest_link", path = "/guest-links/{id}", tag = "guests", params(("id" = i64, Path, description = "The id of the link")),
    security(("bearer" = [])), responses((status = 200, description = "The link was removed", body = Message), LinkProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: RequestContext,
    principal: Principal,
    GuestLinkPath(id): GuestLinkPath,
) -> Result<Json<Message>, Error> {
    guest_links::remove(&state.app, principal.account, id).await?;
    let message = SuccessMessage::Deleted.in_language(context.language);
    Ok(Json(Message::new(message)))
}
