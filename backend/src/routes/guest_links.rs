//! Guest links as their owner sees them: created, listed, changed and removed.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{BaseUrl, FromBody, Json as Body, Owned, Principal};
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::reply::SuccessMessage;
use crate::request_context::RequestContext;
use crate::upload::choice;
use anyhow::Context as _;
use api::guest_links::{GuestLinkList, GuestLinkPatchBody, GuestLinkView, GuestLinkWithToken, NewGuestLinkBody};
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
    let links = guest_link::list(&state.app.db, principal.account);
    let links = state.app.with_timeout(links).await?;
    Ok(Json(GuestLinkList {
        data: links.iter().map(view).collect(),
        next_cursor: None,
    }))
}

/// Creates a guest link.
///
/// Send its `url` to those who shall upload files. No later reply has it, except that to a repeated request with the
/// same `Idempotency-Key`. An account may have up to 100 links.
#[utoipa::path(post, operation_id = "create_guest_link", path = "/guest-links", tag = "guests", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = NewGuestLinkBody, description = "The limits of the link, and the recipe of its tasks"),
    responses((status = 201, description = "The link with its address", body = GuestLinkWithToken), NewProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    base: BaseUrl,
    key: IdempotencyKey,
    Body(form): Body<NewLinkForm>,
) -> Result<Created<GuestLinkWithToken>, Error> {
    let account = principal.account;
    let token = LinkToken::random()?;
    let fingerprint = async |form: NewLinkForm| Ok::<_, Error>(form.fingerprint);
    let work = async |form: NewLinkForm, guard| {
        let new = form.resolve(&state, account, token.clone()).await?;
        let with_token = |link: &guest_link::Model, token| with_token(view(link), &base, token);
        let created = guest_links::create(&state.app, account, new, &guard, with_token);
        Ok::<_, Error>(created.await?)
    };
    let outcome = key.of(principal).once(&state.app, form, fingerprint, work).await?;
    let Outcome::Replayed(stored) = outcome else {
        return Ok(Created(outcome));
    };
    let stored: GuestLinkWithToken = serde_json::from_str(&stored).context("failed to parse a stored reply")?;
    let opened = stored
        .token
        .map(|sealed| guest_links::open_token(&state.app, account, &sealed));
    let token = opened.transpose()?.map(|token| token.secret().to_owned());
    let reply = with_token(stored.link, &base, token);
    let json = serde_json::to_string(&reply).context("failed to serialize a reply")?;
    Ok(Created(Outcome::Replayed(json)))
}

fn with_token(link: GuestLinkView, base: &BaseUrl, token: Option<String>) -> GuestLinkWithToken {
    GuestLinkWithToken {
        link,
        url: token.as_ref().map(|token| format!("{}/api/guest/{token}", base.0)),
        token,
    }
}

/// Shows a guest link of the account.
///
/// With the number of its uploads, and without its address.
#[utoipa::path(get, operation_id = "show_guest_link", path = "/guest-links/{id}", tag = "guests", params(("id" = i64, Path, description = "The id of the link")),
    security(("bearer" = [])), responses((status = 200, description = "The link", body = GuestLinkView), LinkProblems))]
pub(crate) async fn show(Owned(link): Owned<guest_link::Model>) -> Json<GuestLinkView> {
    Json(view(&link))
}

/// Changes or revokes a guest link.
///
/// Absent fields stay. `revoked` ends all sessions of guests at once.
#[utoipa::path(patch, operation_id = "update_guest_link", path = "/guest-links/{id}", tag = "guests", params(("id" = i64, Path, description = "The id of the link")),
    security(("bearer" = [])), request_body(content = GuestLinkPatchBody, description = "The fields to change"),
    responses((status = 200, description = "The link", body = GuestLinkView), UpdateProblems))]
pub(crate) async fn update(
    State(state): State<AppState>,
    Owned(link): Owned<guest_link::Model>,
    Body(changes): Body<Changes>,
) -> Result<Json<GuestLinkView>, Error> {
    let changed = guest_links::update(&state.app, &link, changes).await?;
    Ok(Json(view(&changed)))
}

/// Removes a guest link.
///
/// Its token is unknown then, and its uploads that are no task yet are removed. Tasks of its uploads stay.
#[utoipa::path(delete, operation_id = "remove_guest_link", path = "/guest-links/{id}", tag = "guests", params(("id" = i64, Path, description = "The id of the link")),
    security(("bearer" = [])), responses((status = 200, description = "The link was removed", body = Message), LinkProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: RequestContext,
    Owned(link): Owned<guest_link::Model>,
) -> Result<Json<Message>, Error> {
    guest_links::remove(&state.app, &link).await?;
    let message = SuccessMessage::Deleted.in_language(context.language);
    Ok(Json(Message::new(message)))
}
