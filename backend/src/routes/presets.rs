//! Recipes with a name: those of the installation, which everybody sees, and those of an account.

use crate::AppState;
use crate::choice::read_recipe;
use crate::context::Context;
use crate::error::{Error, OnUnique, Refusal};
use crate::extract::{CurrentUser, FromBody, Json as Body, Owned, read_name};
use crate::once::{Hold, Mark, Once, OnceHeader, Turn};
use crate::openapi::problems;
use crate::reply::{Message, Said};
use anyhow::Context as _;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::recipe::Name;
use domain::recipe_reader::{FieldError, FieldProblem, stored};
use domain::{Code, Recipe, UserId};
use entity::preset;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Most presets of one account.
const MOST: u64 = 100;
const SUMMARY_CHARS: usize = 200;

/// All presets.
#[derive(Serialize, ToSchema)]
pub(crate) struct PresetList {
    /// Those of the installation, then those of the account by name.
    data: Vec<PresetView>,
    /// Always null: there is one page.
    next_cursor: Option<String>,
}

/// A recipe with a name.
#[derive(Serialize, ToSchema)]
pub(crate) struct PresetView {
    /// The name by which uploads call it.
    #[schema(example = "web")]
    name: String,
    /// What it makes, in one sentence.
    summary: Option<String>,
    /// Whether it belongs to the installation and cannot be changed.
    built_in: bool,
    /// Whether an upload that names no preset gets this one.
    default: bool,
    /// What is done.
    recipe: Recipe,
}

/// What a preset says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PresetContent, example = json!({"summary": "A small MP4", "recipe": {"frame": {"max_short_side_px": 360}, "outputs": [{"kind": "mp4"}]}}))]
pub(crate) struct ContentBody {
    /// One sentence for people, at most 200 characters.
    summary: Option<String>,
    /// What is done.
    #[schema(required, nullable = false, value_type = Recipe)]
    recipe: Option<Value>,
}

/// A new preset.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPreset, example = json!({"name": "small", "summary": "A small MP4", "recipe": {"frame": {"max_short_side_px": 360}, "outputs": [{"kind": "mp4"}]}}))]
pub(crate) struct NewPresetBody {
    /// The name by which uploads will call it.
    #[schema(required, nullable = false, value_type = Name)]
    name: Option<String>,
    /// One sentence for people, at most 200 characters.
    summary: Option<String>,
    /// What is done.
    #[schema(required, nullable = false, value_type = Recipe)]
    recipe: Option<Value>,
}

/// What a preset says, checked.
pub(crate) struct Content(preset::Content);

/// A new preset, checked.
pub(crate) struct NewPreset {
    name: Name,
    content: preset::Content,
    /// What the body said.
    mark: Mark,
}

impl FromBody for Content {
    type Wire = ContentBody;

    fn check(body: ContentBody) -> Result<Self, Refusal> {
        let recipe = body.recipe.ok_or_else(|| missing("recipe"))?;
        let recipe = read_recipe(&recipe.to_string())?;
        let plain = |text: &String| text.chars().count() <= SUMMARY_CHARS && !text.contains(char::is_control);
        if body.summary.as_ref().is_some_and(|text| !plain(text)) {
            let why = format!("accepted: at most {SUMMARY_CHARS} characters of one line");
            return Err(Refusal::new(Code::RequestInvalid).unread(FieldError {
                field: "summary".to_owned(),
                problem: FieldProblem::Invalid(why),
            }));
        }
        Ok(Self(preset::Content {
            summary: body.summary,
            recipe: serde_json::to_value(recipe).map_err(|_| Refusal::new(Code::RecipeInvalid))?,
        }))
    }
}

impl FromBody for NewPreset {
    type Wire = NewPresetBody;

    fn check(body: NewPresetBody) -> Result<Self, Refusal> {
        let NewPresetBody { name, summary, recipe } = body;
        let mark = Mark::of(&json!([name, summary, recipe]));
        let name = read_name(&name.ok_or_else(|| missing("name"))?)?;
        let Content(content) = Content::check(ContentBody { summary, recipe })?;
        Ok(Self { name, content, mark })
    }
}

fn missing(field: &str) -> Refusal {
    Refusal::new(Code::FieldsMissing).unread(FieldError {
        field: field.to_owned(),
        problem: FieldProblem::Missing,
    })
}

impl PresetView {
    fn built_in(preset: domain::preset::Preset, state: &AppState) -> Self {
        Self {
            name: preset.name.to_owned(),
            summary: Some(preset.summary.to_owned()),
            built_in: true,
            default: preset.name == state.config.default_preset,
            recipe: preset.recipe,
        }
    }

    fn own(preset: preset::Model) -> Result<Self, Error> {
        Ok(Self {
            name: preset.name,
            summary: preset.summary,
            built_in: false,
            default: false,
            recipe: stored(preset.recipe).context("a stored preset cannot be read")?,
        })
    }
}

problems!(ListProblems: TokenInvalid, TokenExpired, Unavailable);
problems!(NewPresetProblems: FieldsMissing, NameInvalid, RecipeInvalid, RequestInvalid, JsonInvalid, IdempotencyKeyInvalid,
    TokenMissing, TokenInvalid, TokenExpired, RequestTimeout, PresetNameTaken, PresetsTooMany, IdempotencyKeyInUse, BodyTooLarge,
    ContentTypeUnsupported, IdempotencyKeyReused, Unavailable);
problems!(ReplaceProblems: FieldsMissing, RecipeInvalid, RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid, TokenExpired,
    PresetNotFound, RequestTimeout, PresetBuiltIn, BodyTooLarge, ContentTypeUnsupported, Unavailable);
problems!(PresetProblems: TokenMissing, TokenInvalid, TokenExpired, PresetNotFound, Unavailable);
problems!(RemoveProblems: TokenMissing, TokenInvalid, TokenExpired, PresetNotFound, PresetBuiltIn, Unavailable);

/// Lists the presets of the installation, and with a token those of its account as well.
///
/// All of them on one page.
#[utoipa::path(get, operation_id = "list_presets", path = "/api/presets", tag = "presets", security((), ("bearer" = [])),
    responses((status = 200, description = "Every preset", body = PresetList), ListProblems))]
pub(crate) async fn list(State(state): State<AppState>, user: Option<CurrentUser>) -> Result<Json<PresetList>, Error> {
    let built_in = domain::preset::built_in().into_iter();
    let mut data: Vec<_> = built_in.map(|preset| PresetView::built_in(preset, &state)).collect();
    if let Some(CurrentUser(user)) = user {
        for own in preset::list(&state.db, user).await? {
            data.push(PresetView::own(own)?);
        }
    }
    Ok(Json(PresetList {
        data,
        next_cursor: None,
    }))
}

/// Keeps a recipe under a name.
///
/// Images and tasks that the recipe names are looked up when it is used. An account may have 100 presets.
#[utoipa::path(post, operation_id = "create_preset", path = "/api/presets", tag = "presets", params(OnceHeader), security(("bearer" = [])),
    request_body(content = NewPresetBody, description = "A name and a recipe"), responses((status = 201, description = "The preset", body = PresetView), NewPresetProblems))]
pub(crate) async fn create(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    once: Once,
    Body(new): Body<NewPreset>,
) -> Result<Response, Error> {
    match once.turn(&state, user).await? {
        Turn::Again(kept) => kept.replay(&new.mark),
        Turn::First(hold) => {
            let made = record(&state, user, new, &hold).await;
            hold.settle(made).await
        }
    }
}

async fn record(state: &AppState, user: UserId, new: NewPreset, hold: &Hold) -> Result<PresetView, Error> {
    let NewPreset { name, content, mark } = new;
    if domain::preset::find(name.as_str()).is_some() {
        return Err(Code::PresetNameTaken.into());
    }
    let written = entity::user::write(&state.db, user, async |db| {
        hold.renew(db).await?;
        if preset::count(db, user).await? >= MOST {
            return Err(Refusal::new(Code::PresetsTooMany)
                .detail(format!("accepted: up to {MOST}"))
                .into());
        }
        let preset = preset::create(db, user, &name, content).await;
        let view = PresetView::own(preset.on_unique(Code::PresetNameTaken)?)?;
        hold.finish(db, &mark, &view).await?;
        Ok(view)
    });
    written.await
}

/// Shows a preset of the account or of the installation.
///
/// With the whole recipe.
#[utoipa::path(get, operation_id = "show_preset", path = "/api/presets/{name}", tag = "presets", params(("name" = String, Path, description = "The name of the preset")),
    security(("bearer" = [])), responses((status = 200, description = "The preset", body = PresetView), PresetProblems))]
pub(crate) async fn show(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Path(name): Path<String>,
) -> Result<Json<PresetView>, Error> {
    if let Some(built_in) = domain::preset::find(&name) {
        return Ok(Json(PresetView::built_in(built_in, &state)));
    }
    let name: Name = name.parse().map_err(|_| Code::PresetNotFound)?;
    let own = preset::of_user(&state.db, user, name.as_str()).await?;
    PresetView::own(own.ok_or(Code::PresetNotFound)?).map(Json)
}

/// Replaces what a preset says.
///
/// Tasks that were made from it stay as they are. Presets of the installation cannot be replaced.
#[utoipa::path(put, operation_id = "replace_preset", path = "/api/presets/{name}", tag = "presets", params(("name" = String, Path, description = "The name of the preset")),
    security(("bearer" = [])), request_body(content = ContentBody, description = "The new recipe"),
    responses((status = 200, description = "The preset", body = PresetView), ReplaceProblems))]
pub(crate) async fn replace(
    State(state): State<AppState>,
    Owned(own): Owned<preset::Model>,
    Body(Content(content)): Body<Content>,
) -> Result<Json<PresetView>, Error> {
    let replaced = entity::write(&state.db, async |db| preset::replace(db, own, content).await);
    let replaced = replaced.await.map_err(|error| match error {
        // Somebody else removed it at the same moment.
        entity::DbErr::RecordNotUpdated => Code::PresetNotFound.into(),
        error => Error::from(error),
    })?;
    PresetView::own(replaced).map(Json)
}

/// Removes a preset.
///
/// Tasks that were made from it stay as they are. Presets of the installation cannot be removed.
#[utoipa::path(delete, operation_id = "remove_preset", path = "/api/presets/{name}", tag = "presets", params(("name" = String, Path, description = "The name of the preset")),
    security(("bearer" = [])), responses((status = 200, description = "The preset is gone", body = Message), RemoveProblems))]
pub(crate) async fn remove(
    State(state): State<AppState>,
    context: Context,
    Owned(own): Owned<preset::Model>,
) -> Result<Json<Message>, Error> {
    if !preset::remove(&state.db, &own).await? {
        return Err(Code::PresetNotFound.into());
    }
    let message = Said::Deleted.in_language(context.language);
    Ok(Json(Message { message }))
}
