//! The life of one task: claim, run the media child under a lease, verify, store, settle; and the sweeper that finds
//! what was lost. Never opens media itself.

pub mod child;
mod claims;
mod footage;
mod lease;
mod making;
mod process_task;
mod report;
mod reuse;
mod scratch;
mod store;
mod sweeper;

pub use scratch::Scratch;

use background::Background;
use child::{ChildSettings, Spare};
use domain::protocol::{Depth, SandboxMode, SandboxStatus};
use domain::{Failure, Limits};
use entity::DatabaseConnection;
use queue::Queue;
use std::sync::Arc;
use std::time::Duration;
use storage::Storage;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How a worker works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tasks at a time.
    pub tasks: usize,
    /// Threads that one task may use.
    pub threads: u32,
    /// What a source may be.
    pub limits: Limits,
    /// What to do when the kernel cannot lock the child in.
    pub sandbox: SandboxMode,
    /// How much of an output is decoded to verify it.
    pub depth: Depth,
    /// Most bytes of memory of one child; see [`domain::protocol::Session`].
    pub child_memory_bytes: u64,
    /// How children are started and watched.
    pub child: ChildSettings,
    /// How long tasks may go on after a shutdown began, before they are given back.
    pub grace: Duration,
}

/// What a worker works with. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// The truth.
    pub db: DatabaseConnection,
    /// The files.
    pub storage: Storage,
    /// Wakes workers.
    pub queue: Queue,
    /// Where children write.
    pub scratch: Arc<Scratch>,
    /// How.
    pub settings: Arc<Settings>,
    /// The children.
    children: Arc<Spare>,
    /// Ends tasks in progress: they are given back.
    halt: CancellationToken,
}

impl Env {
    /// Puts the parts together.
    #[must_use]
    pub fn new(db: DatabaseConnection, storage: Storage, queue: Queue, scratch: Scratch, settings: Settings) -> Self {
        Self {
            db,
            storage,
            queue,
            scratch: Arc::new(scratch),
            children: Arc::new(Spare::new(settings.child.clone())),
            settings: Arc::new(settings),
            halt: CancellationToken::new(),
        }
    }

    /// Starts a child to see what the kernel grants; three times when that fails, since a cold machine is slow.
    ///
    /// # Errors
    /// Why no child can work here, and therefore no task.
    pub async fn sandbox(&self) -> Result<SandboxStatus, Failure> {
        for _ in 1..3 {
            match self.try_sandbox().await {
                Ok(status) => return Ok(status),
                Err(error) => tracing::warn!(%error, "a media child did not start"),
            }
        }
        self.try_sandbox().await
    }

    async fn try_sandbox(&self) -> Result<SandboxStatus, Failure> {
        let session = making::session(self, footage::Files::default(), self.scratch.path().to_owned());
        let child = self.children.child(session).await?;
        let status = child.status().clone();
        child.finish().await;
        if !status.is_full() {
            tracing::warn!(?status, "this kernel cannot lock media children in completely");
        }
        Ok(status)
    }
}

/// Works until `shutdown`; returns when the tasks in progress have ended or, after the grace, were given back.
pub async fn run(env: Env, shutdown: CancellationToken, background: Background) {
    let sweeper = sweeper::run(env.clone(), shutdown.clone(), background.clone());
    let sweeper = AbortOnDropHandle::new(tokio::spawn(sweeper));
    let halt = env.halt.clone();
    let (grace, stopping, kept) = (env.settings.grace, shutdown.clone(), background.clone());
    let patience = AbortOnDropHandle::new(tokio::spawn(async move {
        let patience = || async {
            stopping.cancelled().await;
            tell_what_is_waited_for(grace).await;
            halt.cancel();
        };
        kept.keep("grace", patience).await;
    }));
    claims::run(env, shutdown, &background).await;
    drop((patience, sweeper));
}

/// Says every few seconds which tasks a stop waits for, until the grace is over.
async fn tell_what_is_waited_for(grace: Duration) {
    let deadline = tokio::time::Instant::now() + grace;
    loop {
        let (tasks, left) = (
            process_task::busy(),
            deadline.saturating_duration_since(tokio::time::Instant::now()),
        );
        if left.is_zero() {
            return tracing::warn!(tasks, "tasks in progress are given back; they run again later");
        }
        if tasks > 0 {
            let seconds = left.as_secs_f32().ceil();
            tracing::info!(
                tasks,
                seconds,
                "waiting for tasks in progress; after that time they are given back"
            );
        }
        tokio::time::sleep(left.min(Duration::from_secs(5))).await;
    }
}
