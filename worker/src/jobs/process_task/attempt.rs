//! One attempt at a task, from its claim to the write of its outcome.
//!
//! 1. Load the rows of the inputs ([`super::inputs`]).
//! 2. Share the outputs of an earlier task with the same fingerprint, if there is one ([`super::reuse`])
//!    and the recipe has no destination.
//! 3. Otherwise render and store the outputs ([`super::render`]), while the lease is renewed ([`super::lease`]).
//! 4. Write the outcome ([`super::settle`]).
//!
//! A panic in steps 1 to 3 is a failure of the attempt like any other: its children and its scratch directory are
//! removed, and the task is retried or ends with `internal`.

use super::inputs::Inputs;
use super::lease;
use super::outcome::{Outcome, Rendered};
use super::render::{Renderer, Rendering};
use super::report::ReportBuilder;
use super::reuse;
use super::settle;
use crate::database;
use crate::env::Env;
use crate::failure;
use domain::protocol::Progress;
use domain::{Code, Failure, Recipe};
use entity::task::{AttemptResult, Claimed, append_processed};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::watch;
use tracing::Instrument;

/// Processes a claimed task.
pub(crate) async fn run(env: &Env, task: &Claimed) {
    let span = tracing::info_span!("task", task.id = task.id, attempt = task.attempt);
    let _running = RunningTask::new();
    let work = async |progress: &_, report: &mut _| work(env, task, progress, report).await;
    Box::pin(attempt(env, task, work)).instrument(span).await;
}

/// The value of [`running_tasks`].
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Number of tasks that this process is working on.
pub(crate) fn running_tasks() -> usize {
    RUNNING.load(Ordering::Relaxed)
}

/// Counts a task as running until it is dropped, also after a panic.
struct RunningTask;

impl RunningTask {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("rushes_worker_slots_busy").increment(1.0);
        Self
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("rushes_worker_slots_busy").decrement(1.0);
    }
}

/// Runs the work under the lease, and writes its outcome.
async fn attempt(
    env: &Env,
    task: &Claimed,
    work: impl AsyncFnOnce(&watch::Sender<Progress>, &mut ReportBuilder) -> Result<Outcome, Failure>,
) {
    let started = Instant::now();
    let waited = chrono::Utc::now().signed_duration_since(task.timestamp);
    metrics::histogram!("rushes_task_wait_seconds").record(waited.to_std().unwrap_or_default());
    tracing::info!(waited_ms = waited.num_milliseconds(), "claimed");
    let (progress, receiver) = watch::channel(Progress::default());
    let mut report = ReportBuilder::new();
    let result = tokio::select! {
        result = AssertUnwindSafe(work(&progress, &mut report)).catch_unwind() => {
            result.unwrap_or_else(|_| Err(panicked()))
        }
        () = lease::renew_until_lost(env, task, receiver) => Ok(Outcome::Lost),
        () = env.release.cancelled() => Ok(Outcome::Released),
    };
    let outcome = result.unwrap_or_else(|failure| Outcome::Failed(failure, Box::new(report.unfinished())));
    metrics::histogram!("rushes_task_run_seconds").record(started.elapsed());
    settle::settle(env, task, outcome, started.elapsed()).await;
}

/// The failure of an attempt whose work panicked. The panic hook has logged its message.
fn panicked() -> Failure {
    failure::internal(&"the work of an attempt panicked")
}

/// Reuses or renders the outputs.
async fn work(
    env: &Env,
    task: &Claimed,
    progress: &watch::Sender<Progress>,
    report: &mut ReportBuilder,
) -> Result<Outcome, Failure> {
    let recipe: Recipe = domain::recipe_reader::stored(task.recipe.clone())
        .map_err(|error| Failure::new(Code::RecipeInvalid, error.to_string()))?;
    let inputs = Inputs::load(env, task, &recipe).await?;
    let fingerprint = reuse::fingerprint(&recipe, &inputs);
    let claim = task.claim();
    // Shared outputs are in our storage alone.
    let is_reusable = recipe.destination.is_none();
    let reused = entity::write(&env.db, async |db| {
        let earlier = match is_reusable {
            true => claim.reuse(db, &fingerprint).await?,
            false => None,
        };
        if earlier.is_some() {
            append_processed(db, task).await?;
        }
        Ok(earlier)
    });
    if let Some(earlier) = database::query(Box::pin(reused)).await? {
        return Ok(Outcome::Reused(earlier));
    }
    let renderer = Renderer {
        env,
        task,
        recipe: &recipe,
        inputs: &inputs,
        progress,
    };
    let Rendering { outputs, report, cost } = renderer.run(report).await?;
    let result = AttemptResult {
        outputs,
        record: report,
        fingerprint,
    };
    Ok(Outcome::Rendered(Box::new(Rendered { result, cost })))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use entity::task::{self, TaskStatus};

    #[tokio::test]
    async fn after_a_panic_of_its_work_a_task_is_retried_and_the_scratch_directory_is_empty() {
        let home = tempfile::tempdir().unwrap();
        let env = fixture::env(home.path()).await;
        let claimed = fixture::claimed(&env).await;
        let work = async |_: &_, _: &mut _| {
            let _scratch = env.scratch.directory(&claimed).unwrap();
            panic!("by the test")
        };
        attempt(&env, &claimed, work).await;
        let task = task::by_id(&env.db, claimed.task_id()).await.unwrap().unwrap();
        assert_eq!((task.status, task.failures), (TaskStatus::Uploaded, 1));
        assert_eq!(task.error_code.as_deref(), Some("internal"));
        assert_eq!(running_tasks(), 0);
        let names = std::fs::read_dir(env.scratch.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["lock"]);
    }
}
