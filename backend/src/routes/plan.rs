//! Plans: what a task would do with a source, and an estimate of its cost, without creating a task.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::extract::{FromBody, Json as Body, Principal};
use crate::openapi::problems;
use crate::view::plan_view;
use api::plan::{PlanBody, PlanView};
use app::plans::{self, PlanRequest, PlanSource};
use app::recipe_choice::read_recipe;
use axum::Json;
use axum::extract::State;
use domain::recipe_reader::{FieldError, FieldProblem, checked, typed};
use domain::{Code, Probe, TaskId};
use serde_json::Value;

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
#[utoipa::path(post, operation_id = "plan", path = "/plan", tag = "tasks", security(("bearer" = [])), request_body(content = PlanBody, description = "A recipe or preset, and a source"),
    responses((status = 200, description = "The plan", body = PlanView), PlanProblems))]
pub(crate) async fn plan(
    State(state): State<AppState>,
    principal: Principal,
    Body(request): Body<PlanRequest>,
) -> Result<Json<PlanView>, Error> {
    let (plan, estimate) = plans::plan(&state.app, principal.account, request).await?;
    Ok(Json(plan_view(&plan, estimate)))
}
