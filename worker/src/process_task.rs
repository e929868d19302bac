//! One attempt at a task, from its claim to its settled row. Read it top to bottom; what the children do for it is in
//! [`crate::making`].

use crate::footage;
use crate::lease::{self, Ended};
use crate::making::Job;
use crate::report::Notes;
use crate::{Env, reuse, store};
use domain::plan::Sample;
use domain::protocol::Progress;
use domain::{Code, Failure, FailureKind, Recipe};
use entity::task::{self, Claim};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::watch;
use tracing::Instrument;

/// What a finished attempt brings home.
pub(crate) struct Done {
    pub(crate) made: task::Made,
    /// The class of the work, and what it came to beside what was expected.
    pub(crate) cost: Option<(String, Sample)>,
}

/// Works on a task that was claimed.
pub(crate) async fn run(env: &Env, task: &task::Model) {
    let span = tracing::info_span!("task", task.id = task.id, attempt = task.attempt);
    let _busy = Busy::new();
    Box::pin(attempt(env, task)).instrument(span).await;
}

/// Tasks that this process works on.
static BUSY: AtomicUsize = AtomicUsize::new(0);

/// How many tasks this process works on.
pub(crate) fn busy() -> usize {
    BUSY.load(Ordering::Relaxed)
}

/// A slot of this worker in use; free again when the value is dropped, also by a panic.
struct Busy;

impl Busy {
    fn new() -> Self {
        BUSY.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("rushes_worker_slots_busy").increment(1.0);
        Self
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("rushes_worker_slots_busy").decrement(1.0);
    }
}

async fn attempt(env: &Env, task: &task::Model) {
    let claim = Claim::of(task);
    let begun = Instant::now();
    let waited = chrono::Utc::now().signed_duration_since(task.timestamp);
    metrics::histogram!("rushes_task_wait_seconds").record(waited.to_std().unwrap_or_default());
    tracing::info!(waited_ms = waited.num_milliseconds(), "claimed");
    let (progress, shown) = watch::channel(Progress::default());
    let mut notes = Notes::new();
    let ended = tokio::select! {
        ended = work(env, task, &progress, &mut notes) => ended,
        () = lease::hold(&env.db, claim, shown) => Ok(Ended::Lost),
        () = env.halt.cancelled() => Ok(Ended::Released),
    };
    let ended = ended.unwrap_or_else(|failure| Ended::Failed(failure, notes.unfinished()));
    metrics::histogram!("rushes_task_run_seconds").record(begun.elapsed());
    lease::settle(env, task, ended, begun.elapsed()).await;
}

/// Finds out whether the work is done already, and does it if not.
async fn work(
    env: &Env,
    task: &task::Model,
    progress: &watch::Sender<Progress>,
    notes: &mut Notes,
) -> Result<Ended, Failure> {
    let recipe: Recipe = domain::recipe_reader::stored(task.recipe.clone())
        .map_err(|error| Failure::new(FailureKind::Unsupported, Code::RecipeInvalid, error.to_string()))?;
    let footage = footage::gather(env, task, &recipe).await?;
    let fingerprint = reuse::fingerprint(&recipe, &footage);
    let claim = Claim::of(task);
    let reused = entity::write(&env.db, async |db| claim.reuse(db, &fingerprint).await);
    if let Some(earlier) = store::answer(Box::pin(reused)).await? {
        return Ok(Ended::Reused(earlier));
    }
    let job = Job {
        env,
        task,
        recipe: &recipe,
        footage: &footage,
    };
    let (outputs, findings, cost) = job.run(progress, notes).await?;
    let made = task::Made {
        outputs,
        findings,
        fingerprint,
    };
    Ok(Ended::Done(Box::new(Done { made, cost })))
}
