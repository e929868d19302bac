//! One task from the ring of the doorbell to its settled row. Read it top to bottom.

use crate::lease::{self, Ended};
use crate::{Env, report, store};
use domain::plan::{Clips, verify};
use domain::protocol::{Checked, Phase, Progress, Report, Session};
use domain::{Code, Failure, FailureKind, Plan, Probe, Recipe, TaskId};
use entity::task::{self, Claim};
use entity::{output, source};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::Instrument;

/// What a finished attempt brings home.
pub(crate) struct Done {
    pub(crate) outputs: Vec<output::New>,
    pub(crate) report: serde_json::Value,
}

/// Works on a task if it is due and nobody else has it.
pub(crate) async fn run(env: &Env, id: TaskId) {
    let task = match task::claim(&env.db, id).await {
        Ok(Some(task)) => task,
        Ok(None) => return,
        // The sweeper rings again when the database is back.
        Err(error) => return tracing::warn!(task.id = id.0, %error, "failed to claim"),
    };
    let span = tracing::info_span!("task", task.id = id.0, attempt = task.attempt);
    attempt(env, &task).instrument(span).await;
}

async fn attempt(env: &Env, task: &task::Model) {
    let claim = Claim::of(task);
    let begun = Instant::now();
    let waited = chrono::Utc::now().signed_duration_since(task.timestamp);
    metrics::histogram!("rushes_task_wait_seconds").record(waited.to_std().unwrap_or_default());
    tracing::info!(waited_ms = waited.num_milliseconds(), "claimed");
    let (progress, shown) = watch::channel(Progress::default());
    let ended = tokio::select! {
        done = work(env, task, &progress) => done.map_or_else(Ended::Failed, Ended::Done),
        () = lease::hold(&env.db, claim, shown) => Ended::Lost,
        () = env.halt.cancelled() => Ended::Released,
    };
    metrics::histogram!("rushes_task_run_seconds").record(begun.elapsed());
    lease::settle(env, task, ended, begun.elapsed()).await;
}

/// Probe, plan, transcode, verify, store. Dropping it kills the children and leaves nothing but trash that is listed.
async fn work(env: &Env, task: &task::Model, progress: &watch::Sender<Progress>) -> Result<Done, Failure> {
    let recipe: Recipe = domain::recipe_reader::stored(task.recipe.clone())
        .map_err(|error| Failure::new(FailureKind::Unsupported, Code::RecipeInvalid, error.to_string()))?;
    let begun = Instant::now();
    let scratch = env.scratch.directory(task).map_err(infrastructure)?;
    let file = fetch(env, task, scratch.path()).await?;
    let out = scratch.child("out").map_err(infrastructure)?;
    let mut child = env.children.child(session(env, vec![file], out.clone())).await?;
    let sandbox = child.status().clone();
    let probe = child.probe(0).await?;
    remember(env, task, &probe).await;
    let plan = domain::plan(&recipe, &probe, Clips::default(), &env.settings.limits)?;
    let fetched = begun.elapsed();
    // The checker starts while the other one works: a fresh process that has never seen the source.
    let checker = session(env, Vec::new(), out.clone());
    let (made, mut checker) = tokio::try_join!(
        child.transcode(plan.clone(), wall_limit(&probe), |update| {
            progress.send_replace(update);
        }),
        env.children.child(checker),
    )?;
    // What a stranger's file may have made of it must be gone before anybody looks at the outputs.
    child.finish().await;
    enter(progress, Phase::Verify);
    let checked = checker.verify(plan.outputs.clone()).await?;
    drop(checker);
    compare(&plan, &made, &checked)?;
    let verified = begun.elapsed();
    enter(progress, Phase::Store);
    let outputs = store::store(env, task, &plan, &checked, &out).await?;
    measure(&made, verified.saturating_sub(fetched));
    tracing::info!(
        fetched_ms = ms(fetched),
        verified_ms = ms(verified),
        stored_ms = ms(begun.elapsed()),
        "made"
    );
    Ok(Done {
        report: report::bundle(&plan, &made, &outputs, &sandbox),
        outputs,
    })
}

/// The phases after the encoding are short: they share the last percent.
fn enter(progress: &watch::Sender<Progress>, phase: Phase) {
    progress.send_modify(|shown| (shown.phase, shown.percent) = (phase, 99));
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The source as a local file: in place when storage is a directory, else copied into the scratch directory.
async fn fetch(env: &Env, task: &task::Model, scratch: &Path) -> Result<PathBuf, Failure> {
    let row = source::of_task(&env.db, task).await.map_err(infrastructure)?;
    let key = storage::Key::parse(&row.key).map_err(infrastructure)?;
    if let Some(path) = env.storage.local_path(&key) {
        return Ok(path);
    }
    let path = scratch.join("source");
    env.storage
        .get_to_file(&key, &path)
        .await
        .map_err(|error| store::failure(&error, FailureKind::Infrastructure))?;
    Ok(path)
}

/// What a child may touch.
pub(crate) fn session(env: &Env, sources: Vec<PathBuf>, scratch: PathBuf) -> Session {
    let settings = &env.settings;
    Session {
        sources,
        images: Vec::new(),
        scratch,
        sandbox: settings.sandbox,
        max_memory_bytes: settings.child_memory_bytes,
        max_cpu_s: wall_limit_s(settings.limits.max_duration_us) * u64::from(settings.threads.max(1)),
        max_file_bytes: settings.limits.max_upload_bytes.saturating_mul(4),
        threads: settings.threads,
    }
}

/// Keeps the facts for people to see; a task does not fail for it.
async fn remember(env: &Env, task: &task::Model, probe: &Probe) {
    let Ok(facts) = serde_json::to_value(probe) else { return };
    if let Err(error) = source::set_probe(&env.db, task.source_id, facts).await {
        tracing::warn!(%error, "failed to keep the facts of the source");
    }
}

/// max(60 s, 30 × length); an unknown length counts as two minutes.
fn wall_limit(probe: &Probe) -> Duration {
    let length_us = if probe.duration_us == 0 {
        120_000_000
    } else {
        probe.duration_us
    };
    Duration::from_secs(wall_limit_s(length_us))
}

const fn wall_limit_s(length_us: u64) -> u64 {
    let seconds = 30 * (length_us / 1_000_000);
    if seconds > 60 { seconds } else { 60 }
}

fn compare(plan: &Plan, made: &Report, checked: &[Checked]) -> Result<(), Failure> {
    if made.outputs.len() != plan.outputs.len() || checked.len() != plan.outputs.len() {
        let detail = format!(
            "{} planned, {} made, {} checked",
            plan.outputs.len(),
            made.outputs.len(),
            checked.len()
        );
        return Err(Failure::new(FailureKind::MediaCrash, Code::OutputInvalid, detail));
    }
    let rows = plan.outputs.iter().zip(&made.outputs).zip(checked);
    rows.into_iter()
        .try_for_each(|((planned, made), checked)| verify(plan, planned, made, checked))
}

fn measure(made: &Report, wall: Duration) {
    let media_us = made
        .outputs
        .iter()
        .map(|output| output.duration_us)
        .max()
        .unwrap_or_default();
    let factor = Duration::from_micros(media_us).as_secs_f64() / wall.as_secs_f64().max(0.001);
    metrics::histogram!("rushes_realtime_factor").record(factor);
}

/// Database or machine trouble around the work; the detail stays in our log.
fn infrastructure(error: impl std::fmt::Display) -> Failure {
    tracing::warn!(%error, "trouble around the work");
    Failure::new(FailureKind::Infrastructure, Code::Internal, "trouble around the work")
}
