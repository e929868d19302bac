//! Plans: what a task would do with a source, and an estimate of its cost, without creating a task.

use crate::app::Core;
use crate::recipe_choice::{RecipeChoice, check_names};
use crate::{Error, Refusal};
use anyhow::Context as _;
use domain::plan::{Clips, CopyPolicy, Estimate, estimate, predict};
use domain::{Code, Plan, Probe, Recipe, TaskId, UserId};
use entity::{RawJson, cost, task};

/// A request for a plan.
pub struct PlanRequest {
    /// The name of a preset; not used if there is a recipe.
    pub preset: Option<String>,
    /// A recipe. Without it and a preset, the default preset is planned.
    pub recipe: Option<Recipe>,
    /// The source.
    pub source: PlanSource,
}

/// The source to plan for.
pub enum PlanSource {
    /// That of a task whose source has been probed.
    Task(TaskId),
    /// A file with these facts.
    Facts(Box<Probe>),
}

/// Plans a recipe for a source and estimates the cost.
///
/// # Errors
/// `preset_unknown`, `recipe_invalid`, `task_not_found`, `source_not_probed`, the code of a task whose probe has
/// failed, and the codes of [`domain::plan()`].
pub async fn plan(app: &Core, user: UserId, request: PlanRequest) -> Result<(Plan, Estimate), Error> {
    let recipe = recipe_of(app, user, request.preset, request.recipe).await?;
    check_names(&app.db, user, &recipe).await?;
    let probe = match request.source {
        PlanSource::Task(task) => probe_of(app, user, task).await?,
        PlanSource::Facts(probe) => *probe,
    };
    let (intro, outro) = clips(app, user, &recipe).await?;
    let clips = Clips {
        intro: intro.as_ref(),
        outro: outro.as_ref(),
    };
    let planned = domain::plan(&recipe, &probe, clips, &app.settings.limits, CopyPolicy::default())
        .map_err(|failure| Refusal::new(failure.code).detail(failure.detail))?;
    let (class, predicted) = predict(&planned, &probe, app.settings.threads);
    let history = cost::history(&app.db, &class).await?;
    let estimate = estimate(predicted, &history);
    Ok((planned, estimate))
}

/// The recipe to plan.
async fn recipe_of(app: &Core, user: UserId, preset: Option<String>, recipe: Option<Recipe>) -> Result<Recipe, Error> {
    let choice = match (preset, recipe) {
        (_, Some(recipe)) => RecipeChoice::Own(recipe),
        (Some(name), None) => RecipeChoice::preset(app, user, &name).await?,
        (None, None) => RecipeChoice::Default,
    };
    choice
        .resolve(&app.settings.default_preset)
        .map(|resolved| resolved.recipe)
}

/// The probe of the source of a task.
///
/// # Errors
/// `task_not_found`; `source_not_probed`, or the code of the task when its probe failed.
async fn probe_of(app: &Core, user: UserId, id: TaskId) -> Result<Probe, Error> {
    let found = task::with_source(&app.db, user, id).await?;
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
    app: &Core,
    user: UserId,
    recipe: &Recipe,
    facts: Option<&RawJson>,
) -> Result<(), Error> {
    let Some(facts) = facts else { return Ok(()) };
    let probe: Probe = facts.read().context("failed to parse a stored probe")?;
    let (intro, outro) = match clips(app, user, recipe).await {
        // Clips without a probe count as empty. The worker checks the limits again with their durations.
        Err(Error::Client(refusal)) if refusal.code.status() < 500 => (None, None),
        probed => probed?,
    };
    let clips = Clips {
        intro: intro.as_ref(),
        outro: outro.as_ref(),
    };
    match domain::plan(recipe, &probe, clips, &app.settings.limits, CopyPolicy::default()) {
        Err(failure) if failure.code == Code::TaskTooLarge => {
            Err(Refusal::new(failure.code).detail(failure.detail).into())
        }
        _ => Ok(()),
    }
}

/// The probes of the intro and the outro of a recipe.
async fn clips(app: &Core, user: UserId, recipe: &Recipe) -> Result<(Option<Probe>, Option<Probe>), Error> {
    let bumper = recipe.bumper.as_ref();
    let mut probes = [None, None];
    let tasks = [
        bumper.and_then(|bumper| bumper.intro_task),
        bumper.and_then(|bumper| bumper.outro_task),
    ];
    for (probe, task) in probes.iter_mut().zip(tasks) {
        if let Some(task) = task {
            *probe = Some(probe_of(app, user, task).await?);
        }
    }
    let [intro, outro] = probes;
    Ok((intro, outro))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Settings;
    use queue::Queue;
    use storage::Storage;

    #[tokio::test]
    async fn an_outage_while_clips_are_looked_up_is_unavailable() {
        let directory = tempfile::tempdir().unwrap();
        let db = entity::connect("sqlite::memory:", 1).await.unwrap();
        let files = format!("file://{}", directory.path().display());
        let storage = Storage::open(&files, None).await.unwrap();
        let app = Core::new(db.clone(), storage, Queue::in_memory(), Settings::default());
        db.close_by_ref().await.unwrap();
        let recipe = Recipe::parse(r#"{"bumper":{"intro_task":1},"outputs":[{"kind":"mp4"}]}"#).unwrap();
        let facts = r#"{"container":"mov,mp4","bytes":9,"duration_us":1000000,"start_us":0,"streams":[]}"#;
        let facts: RawJson = serde_json::from_str(facts).unwrap();
        let checked = check_task_size(&app, UserId(1), &recipe, Some(&facts)).await;
        assert!(
            matches!(&checked, Err(Error::Client(refusal)) if refusal.code == Code::Unavailable),
            "{checked:?}"
        );
    }
}
