//! What would be done and what it would cost, before anybody waits for it.

use crate::AppState;
use crate::choice::{Choice, check_names, read_recipe};
use crate::error::{Error, Refusal};
use crate::extract::{CurrentUser, FromBody, Json as Body};
use crate::openapi::problems;
use crate::view::PlanView;
use anyhow::Context as _;
use axum::Json;
use axum::extract::State;
use domain::plan::{Clips, estimate, predict};
use domain::recipe_reader::{FieldError, FieldProblem, typed};
use domain::{Code, Probe, Recipe, TaskId, UserId};
use entity::{RawJson, cost, task};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// What to plan: a `preset` or a `recipe`, the installation's default when neither is there, for the source of a `task`
/// or for facts about one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanRequest, example = json!({"preset": "web", "source": {
    "container": "mov,mp4", "bytes": 5_000_000, "duration_us": 10_000_000, "start_us": 0,
    "streams": [{"index": 0, "codec": "h264", "decodable": true, "default": true, "language": null, "kind": {"video": {
        "width_px": 1920, "height_px": 1080, "sample_aspect": "1", "quarter_turns": 0, "mirrored": false,
        "average_fps": "25", "base_fps": "25", "pixel_format": "yuv420p", "bit_depth": 8, "hdr": false,
        "interlaced": false, "duration_us": 10_000_000}}}]}}))]
pub(crate) struct PlanBody {
    /// The name of a preset; not together with `recipe`.
    #[schema(nullable = false)]
    preset: Option<String>,
    /// What to plan; not together with `preset`.
    #[schema(required = false, nullable = false, value_type = Recipe)]
    recipe: Option<Value>,
    /// The id of a task whose source has been looked into.
    #[schema(nullable = false)]
    task: Option<i64>,
    /// Facts of a source instead, as `probe` of a report shows them.
    #[schema(required = false, nullable = false, value_type = Object)]
    source: Option<Value>,
}

/// What to plan, checked.
pub(crate) struct Wish {
    preset: Option<String>,
    recipe: Option<Recipe>,
    source: Source,
}

enum Source {
    Task(TaskId),
    Facts(Box<Probe>),
}

impl FromBody for Wish {
    type Wire = PlanBody;

    fn check(body: PlanBody) -> Result<Self, Refusal> {
        if body.preset.is_some() && body.recipe.is_some() {
            return Err(Refusal::new(Code::PresetAndRecipe));
        }
        let recipe = body.recipe.map(|recipe| read_recipe(&recipe.to_string())).transpose()?;
        let source = match (body.task, body.source) {
            (Some(task), None) => Source::Task(TaskId(task)),
            (None, Some(facts)) => Source::Facts(Box::new(read_facts(facts)?)),
            (None, None) => return Err(wrong("source", FieldProblem::Missing)),
            (Some(_), Some(_)) => {
                let why = "accepted: one of task and source".to_owned();
                return Err(wrong("source", FieldProblem::Invalid(why)));
            }
        };
        Ok(Self {
            preset: body.preset,
            recipe,
            source,
        })
    }
}

fn read_facts(facts: Value) -> Result<Probe, Refusal> {
    let probe: Probe = typed(facts, "source").map_err(|error| wrong(&error.field, error.problem))?;
    let checked = probe.check();
    checked.map_err(|error| wrong(&format!("source.{}", error.field), error.problem))?;
    Ok(probe)
}

fn wrong(field: &str, problem: FieldProblem) -> Refusal {
    Refusal::new(Code::RequestInvalid).unread(FieldError {
        field: field.to_owned(),
        problem,
    })
}

problems!(PlanProblems: PresetUnknown, PresetAndRecipe, RecipeInvalid, RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid,
    TokenExpired, TaskNotFound, RequestTimeout, SourceNotProbed, SourceDamaged, NotMedia, BodyTooLarge, ContentTypeUnsupported, NoVideoStream, NoAudioStream,
    CodecUnsupported, DurationTooLong, PictureTooLarge, PictureTooSmall, TooManyStreams, TrimOutsideSource, TaskTooLarge, Unavailable);

/// Tells what a recipe would make of a source. Makes nothing.
///
/// The plan has the outputs with reasons, warnings, and an estimate of the cost.
#[utoipa::path(post, operation_id = "plan", path = "/api/plan", tag = "tasks", security(("bearer" = [])), request_body(content = PlanBody, description = "A recipe or preset, and a source"),
    responses((status = 200, description = "What would be done", body = PlanView), PlanProblems))]
pub(crate) async fn plan(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Body(wish): Body<Wish>,
) -> Result<Json<PlanView>, Error> {
    let recipe = chosen(&state, user, wish.preset, wish.recipe).await?;
    check_names(&state.db, user, &recipe).await?;
    let probe = match wish.source {
        Source::Task(task) => facts_of(&state, user, task).await?,
        Source::Facts(probe) => *probe,
    };
    let (intro, outro) = clips(&state, user, &recipe).await?;
    let clips = Clips {
        intro: intro.as_ref(),
        outro: outro.as_ref(),
    };
    let planned = domain::plan(&recipe, &probe, clips, &state.config.limits)
        .map_err(|failure| Refusal::new(failure.code).detail(failure.detail))?;
    let (class, predicted) = predict(&planned, &probe, state.config.threads);
    let history = cost::history(&state.db, &class).await?;
    Ok(Json(PlanView::new(&planned, estimate(predicted, &history))))
}

async fn chosen(
    state: &AppState,
    user: UserId,
    preset: Option<String>,
    recipe: Option<Recipe>,
) -> Result<Recipe, Error> {
    let choice = match (preset, recipe) {
        (_, Some(recipe)) => Choice::Own(recipe),
        (Some(name), None) => Choice::preset(state, user, &name).await?,
        (None, None) => Choice::Default,
    };
    choice.settle(&state.config.default_preset).map(|chosen| chosen.recipe)
}

/// What was read from the source of a task.
async fn facts_of(state: &AppState, user: UserId, id: TaskId) -> Result<Probe, Error> {
    let found = task::with_source(&state.db, user, id).await?;
    let (task, source) = found.ok_or(Code::TaskNotFound)?;
    // Of a source that could not be looked into, it is known why.
    let failed = task::error_code(&task).filter(|code| code.status() < 500);
    let facts = source.probe.ok_or_else(|| match failed {
        Some(code) => Refusal::new(code).detail(format!("task {id} failed with it")),
        None => Refusal::new(Code::SourceNotProbed).detail(format!("task {id}")),
    })?;
    Ok(facts.read().context("a stored probe cannot be read")?)
}

/// Refuses a task whose outputs exceed the limits, where the source has been probed. All other problems are reported when a
/// worker plans the task, as are those of a source that has not been probed.
pub(crate) async fn check_amount(
    state: &AppState,
    user: UserId,
    recipe: &Recipe,
    facts: Option<&RawJson>,
) -> Result<(), Error> {
    let Some(facts) = facts else { return Ok(()) };
    let probe: Probe = facts.read().context("a stored probe cannot be read")?;
    // Clips that have not been probed count as empty: the worker checks the limits again with their lengths.
    let (intro, outro) = clips(state, user, recipe).await.unwrap_or_default();
    let clips = Clips {
        intro: intro.as_ref(),
        outro: outro.as_ref(),
    };
    match domain::plan(recipe, &probe, clips, &state.config.limits) {
        Err(failure) if failure.code == Code::TaskTooLarge => {
            Err(Refusal::new(failure.code).detail(failure.detail).into())
        }
        _ => Ok(()),
    }
}

async fn clips(state: &AppState, user: UserId, recipe: &Recipe) -> Result<(Option<Probe>, Option<Probe>), Error> {
    let bumper = recipe.bumper.as_ref();
    let mut facts = [None, None];
    let tasks = [
        bumper.and_then(|bumper| bumper.intro_task),
        bumper.and_then(|bumper| bumper.outro_task),
    ];
    for (facts, task) in facts.iter_mut().zip(tasks) {
        if let Some(task) = task {
            *facts = Some(facts_of(state, user, task).await?);
        }
    }
    let [intro, outro] = facts;
    Ok((intro, outro))
}
