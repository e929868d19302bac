//! Presets: named recipes. The built-in ones belong to the installation and are public; the others belong to an
//! account.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json as Body, Owned, PresetName, Principal, read_name};
use crate::idempotency::{Created, IdempotencyKey, IdempotencyKeyHeader};
use crate::openapi::problems;
use crate::reply::SuccessMessage;
use crate::request_context::RequestContext;
use anyhow::Context as _;
use api::presets::{NewPresetBody, PresetContentBody, PresetList, PresetView};
use api::reply::Message;
use app::idempotency::Fingerprint;
use app::presets::{self, NewPreset};
use app::recipe_choice::read_recipe;
use axum::Json;
use axum::extract::State;
use domain::Code;
use domain::recipe_reader::stored;
use entity::preset;
use serde_json::json;

/// Maximum length of a summary.
const SUMMARY_CHARS: usize = 200;

impl FromBody for preset::Content {
    type Wire = PresetContentBody;

    fn check(body: PresetContentBody) -> Result<Self, Refusal> {
        let recipe = body.recipe.ok_or_else(|| Refusal::of_missing_field("recipe"))?;
        let recipe = read_recipe(&recipe.to_string())?;
        let is_valid = |text: &String| text.chars().count() <= SUMMARY_CHARS && !text.contains(char::is_control);
        if body.summary.as_ref().is_some_and(|text| !is_valid(text)) {
            let detail = format!("accepted: at most {SUMMARY_CHARS} characters in one line");
            return Err(Refusal::of_invalid_field("summary", detail));
        }
        Ok(Self {
            summary: body.summary,
            recipe: serde_json::to_value(recipe).map_err(|_| Refusal::new(Code::RecipeInvalid))?,
        })
    }
}

impl FromBody for NewPreset {
    type Wire = NewPresetBody;

    fn check(body: NewPresetBody) -> Result<Self, Refusal> {
        let NewPresetBody { name, summary, recipe } = body;
        let fingerprint = Fingerprint::of(&json!([name, summary, recipe]));
        let name = read_name(&name.ok_or_else(|| Refusal::of_missing_field("name"))?)?;
        let content = preset::Content::check(PresetContentBody { summary, recipe })?;
        Ok(Self {
            name,
            content,
            fingerprint,
        })
    }
}

fn built_in_view(preset: domain::preset::Preset, state: &AppState) -> PresetView {
    PresetView {
        name: preset.name.to_owned(),
        summary: Some(preset.summary.to_owned()),
        built_in: true,
        default: preset.name == state.app.settings.default_preset,
        recipe: preset.recipe,
    }
}

fn own_view(preset: preset::Model) -> Result<PresetView, app::Error> {
    Ok(PresetView {
        name: preset.name,
        summary: preset.summary,
        built_in: false,
        default: false,
        recipe: stored(preset.recipe).context("failed to parse a stored preset")?,
    })
}

problems!(ListProblems: TokenInvalid, TokenExpired, Unavailable);
problems!(NewPresetProblems: FieldsMissing, NameInvalid, RecipeInvalid, RequestInvalid, JsonInvalid, IdempotencyKeyInvalid,
    TokenMissing, TokenInvalid, TokenExpired, RequestTimeout, PresetNameTaken, PresetsTooMany, IdempotencyKeyInUse, BodyTooLarge,
    ContentTypeUnsupported, IdempotencyKeyReused, Unavailable);
problems!(ReplaceProblems: FieldsMissing, RecipeInvalid, RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid, TokenExpired,
    PresetNotFound, RequestTimeout, PresetBuiltIn, BodyTooLarge, ContentTypeUnsupported, Unavailable);
problems!(PresetProblems: TokenMissing, TokenInvalid, TokenExpired, PresetNotFound, Unavailable);
problems!(RemoveProblems: TokenMissing, TokenInvalid, TokenExpired, PresetNotFound, PresetBuiltIn, Unavailable);

/// Lists the built-in presets and, with a token, those of the account.
///
/// All presets on one page.
#[utoipa::path(get, operation_id = "list_presets", path = "/presets", tag = "presets", security((), ("bearer" = [])),
    responses((status = 200, description = "All presets", body = PresetList), ListProblems))]
pub(crate) async fn list(
    State(state): State<AppState>,
    principal: Option<Principal>,
) -> Result<Json<PresetList>, Error> {
    let built_in = domain::preset::built_in().into_iter();
    let mut data: Vec<_> = built_in.map(|preset| built_in_view(preset, &state)).collect();
    if let Some(principal) = principal {
        for own in preset::list(&state.app.db, principal.account).await? {
            data.push(own_view(own)?);
        }
    }
    Ok(Json(PresetList {
        data,
        next_cursor: None,
    }))
}

/// Creates a preset.
///
/// Images and tasks that the recipe refers to are looked up when the preset is used. An account may have up to 100
/// presets.
#[utoipa::path(post, operation_id = "create_preset", path = "/presets", tag = "presets", params(IdempotencyKeyHeader), security(("bearer" = [])),
    request_body(content = NewPresetBody, description = "A name and a recipe"), responses((status = 201, description = "The preset", body = PresetView), NewPresetProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    principal: Principal,
    key: IdempotencyKey,
    Body(new): Body<NewPreset>,
) -> Result<Created<PresetView>, Error> {
    let fingerprint = async |new: NewPreset| Ok::<_, Error>(new.fingerprint);
    let work = async |new, guard| {
        let created = presets::create(&state.app, principal.account, new, &guard, own_view);
        Ok::<_, Error>(created.await?)
    };
    let outcome = key.of(principal).once(&state.app, new, fingerprint, work).await;
    outcome.map(Created)
}

/// Shows a preset of the account or a built-in one.
///
/// With its complete recipe.
#[utoipa::path(get, operation_id = "show_preset", path = "/presets/{name}", tag = "presets", params(("name" = String, Path, description = "The name of the preset")),
    security(("bearer" = [])), responses((status = 200, description = "The preset", body = PresetView), PresetProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    principal: Principal,
    PresetName(name): PresetName,
) -> Result<Json<PresetView>, Error> {
    if let Some(built_in) = domain::preset::find(name.as_str()) {
        return Ok(Json(built_in_view(built_in, &state)));
    }
    let own = preset::of_user(&state.app.db, principal.account, name.as_str()).await?;
    Ok(Json(own_view(own.ok_or(Code::PresetNotFound)?)?))
}

/// Replaces the content of a preset.
///
/// Existing tasks do not change. Built-in presets cannot be replaced.
#[utoipa::path(put, operation_id = "replace_preset", path = "/presets/{name}", tag = "presets", params(("name" = String, Path, description = "The name of the preset")),
    security(("bearer" = [])), request_body(content = PresetContentBody, description = "The new recipe"),
    responses((status = 200, description = "The preset", body = PresetView), ReplaceProblems))]
pub(crate) async fn replace(
    State(state): State<AppState>,
    Owned(own): Owned<preset::Model>,
    Body(content): Body<preset::Content>,
) -> Result<Json<PresetView>, Error> {
    let replaced = presets::replace(&state.app, own, content).await?;
    Ok(Json(own_view(replaced)?))
}

/// Removes a preset.
///
/// Existing tasks do not change. Built-in presets cannot be removed.
#[utoipa::path(delete, operation_id = "remove_preset", path = "/presets/{name}", tag = "presets", params(("name" = String, Path, description = "The name of the preset")),
    security(("bearer" = [])), responses((status = 200, description = "The preset was removed", body = Message), RemoveProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: RequestContext,
    Owned(own): Owned<preset::Model>,
) -> Result<Json<Message>, Error> {
    presets::remove(&state.app, &own).await?;
    let message = SuccessMessage::Deleted.in_language(context.language);
    Ok(Json(Message::new(message)))
}
