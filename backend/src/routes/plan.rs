//! Plans: what a task would do with a source, and an estimate of its cost, without creating a task.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{CurrentUser, FromBody, Json as Body};
use crate::openapi::problems;
use crate::recipe_choice::{RecipeChoice, check_names, read_recipe};
use crate::view::PlanView;
use anyhow::Context as _;
use axum::Json;
use axum::extract::State;
use domain::plan::{Clips, estimate, predict};
use domain::recipe_reader::{FieldError, FieldProblem, checked, typed};
use domain::{Code, Probe, Recipe, TaskId, UserId};
use entity::{RawJson, cost, task};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A recipe and a source. The recipe is a `preset`, a `recipe`, or the default preset when both are absent. The source
/// is that of a `task`, or given as facts.
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
    /// A recipe; not together with `preset`.
    #[schema(required = false, nullable = false, value_type = Recipe)]
    recipe: Option<Value>,
    /// The id of a task whose source has been probed.
    #[schema(nullable = false)]
    task: Option<i64>,
    /// Facts of a source, in the form of `probe` in a report; not together with `task`.
    #[schema(required = false, nullable = false, value_type = Object)]
    source: Option<Value>,
}

/// A checked request for a plan.
pub(crate) struct PlanRequest {
    preset: Option<String>,
    recipe: Option<Recipe>,
    source: PlanSource,
}

/// The source to plan for.
enum PlanSource {
    Task(TaskId),
    Facts(Box<Probe>),
}

impl FromBody for PlanRequest {
    type Wire = PlanBody;

    fn check(body: PlanBody) -> Result<Self, Refusal> {
        if body.preset.is_some() && body.recipe.is_some() {
            return Err(Refusal::new(Code::PresetAndRecipe));
        }
        let recipe = body.recipe.map(|recipe| read_recipe(&recipe.to_string())).transpose()?;
        let source = match (body.task, body.source) {
            (Some(task), None) => PlanSource::Task(TaskId(task)),
            (None, Some(facts)) => PlanSource::Facts(Box::new(read_facts(&facts)?)),
            (None, None) => return Err(invalid_field("source", FieldProblem::Missing).detail(ONE_SOURCE)),
            (Some(_), Some(_)) => {
                let both = FieldProblem::Invalid(ONE_SOURCE.to_owned());
                return Err(invalid_field("source", both).detail(ONE_SOURCE));
            }
        };
        Ok(Self {
            preset: body.preset,
            recipe,
            source,
        })
    }
}

/// The detail of a refused source.
const ONE_SOURCE: &str = "accepted: one of task (the id of a task) and source (facts of a file)";

fn read_facts(facts: &Value) -> Result<Probe, Refusal> {
    let read = |facts| {
        let probe: Probe = typed(facts, "")?;
        probe.check().map(|()| probe)
    };
    checked(facts, read).map_err(|error| {
        let field = format!("source.{}", error.field);
        invalid_field(field.trim_end_matches('.'), error.problem)
    })
}

fn invalid_field(field: &str, problem: FieldProblem) -> Refusal {
    Refusal::new(Code::RequestInvalid).unparsed_field(FieldError {
        field: field.to_owned(),
        problem,
    })
}

problems!(PlanProblems: PresetUnknown, PresetAndRecipe, RecipeInvalid, RequestInvalid, JsonInvalid, TokenMissing, TokenInvalid,
    TokenExpired, TaskNotFound, RequestTimeout, SourceNotProbed, SourceDamaged, NotMedia, BodyTooLarge, ContentTypeUnsupported, NoVideoStream, NoAudioStream,
    CodecUnsupported, DurationTooLong, PictureTooLarge, PictureTooSmall, TooManyStreams, TrimOutsideSource, TaskTooLarge, Unavailable);

/// Plans a recipe for a source without creating a task.
///
/// The plan lists the outputs, what is copied or encoded and why, warnings, and an estimate of the cost.
#[utoipa::path(post, operation_id = "plan", path = "/api/plan", tag = "tasks", security(("bearer" = [])), request_body(content = PlanBody, description = "A recipe or preset, and a source"),
    responses((status = 200, description = "The plan", body = PlanView), PlanProblems))]
pub(crate) async fn plan(
    State(state): State<AppState>,
    CurrentUser(user): CurrentUser,
    Body(request): Body<PlanRequest>,
) -> Result<Json<PlanView>, Error> {
    let recipe = recipe_of(&state, user, request.preset, request.recipe).await?;
    check_names(&state.db, user, &recipe).await?;
    let probe = match request.source {
        PlanSource::Task(task) => probe_of(&state, user, task).await?,
        PlanSource::Facts(probe) => *probe,
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

/// The recipe to plan.
async fn recipe_of(
    state: &AppState,
    user: UserId,
    preset: Option<String>,
    recipe: Option<Recipe>,
) -> Result<Recipe, Error> {
    let choice = match (preset, recipe) {
        (_, Some(recipe)) => RecipeChoice::Own(recipe),
        (Some(name), None) => RecipeChoice::preset(state, user, &name).await?,
        (None, None) => RecipeChoice::Default,
    };
    choice
        .resolve(&state.config.default_preset)
        .map(|resolved| resolved.recipe)
}

/// The probe of the source of a task.
///
/// # Errors
/// `task_not_found`; `source_not_probed`, or the code of the task when its probe failed.
async fn probe_of(state: &AppState, user: UserId, id: TaskId) -> Result<Probe, Error> {
    let found = task::with_source(&state.db, user, id).await?;
    let (task, source) = found.ok_or(Code::TaskNotFound)?;
    // A task that failed because of its source tells why there is no probe.
    let source_error = task::error_code(&task).filter(|code| code.status() < 500);
    let probe = source.probe.ok_or_else(|| match source_error {
        Some(code) => Refusal::new(code).detail(format!("task {id} failed with it")),
        None => Refusal::new(Code::SourceNotProbed).detail(format!("task {id}")),
    })?;
    Ok(probe.read().context("failed to parse a stored probe")?)
}

/// Refuses a task whose outputs exceed the limits, if its source has been probed. A worker plans the task anyway and
/// reports all other errors, and the limits of sources that have not been probed.
///
/// # Errors
/// `task_too_large`.
pub(crate) async fn check_task_size(
    state: &AppState,
    user: UserId,
    recipe: &Recipe,
    facts: Option<&RawJson>,
) -> Result<(), Error> {
    let Some(facts) = facts else { return Ok(()) };
    let probe: Probe = facts.read().context("failed to parse a stored probe")?;
    // Clips without a probe count as empty. The worker checks the limits again with their durations.
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

/// The probes of the intro and the outro of a recipe.
async fn clips(state: &AppState, user: UserId, recipe: &Recipe) -> Result<(Option<Probe>, Option<Probe>), Error> {
    let bumper = recipe.bumper.as_ref();
    let mut probes = [None, None];
    let tasks = [
        bumper.and_then(|bumper| bumper.intro_task),
        bumper.and_then(|bumper| bumper.outro_task),
    ];
    for (probe, task) in probes.iter_mut().zip(tasks) {
        if let Some(task) = task {
            *probe = Some(probe_of(state, user, task).await?);
        }
    }
    let [intro, outro] = probes;
    Ok((intro, outro))
}
