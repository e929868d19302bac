//! Workers: claim due tasks and process them, and return tasks of workers that are gone.
//!
//! - `jobs`: the work that a wake-up of the queue starts; today one job, which processes tasks.
//! - `background`: work that repeats at an interval or at shutdown, such as the search for expired leases, the download
//!   of files from URLs that users gave, and webhooks.
//! - [`child`]: start and control of media children.
//!
//! The worker never opens media itself. Media are opened in [`child`] processes, each in a sandbox.

mod background;
pub mod child;
mod database;
mod env;
mod failure;
mod jobs;
mod scratch;
mod session;
mod watch;

pub use app::watch::Watch;
pub use env::{Env, Settings};
pub use scratch::Scratch;
pub use watch::FolderWatcher;

use ::background::Background;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Runs a worker until `shutdown`. Returns when the tasks in progress have ended; those that are still running after
/// [`Settings::shutdown_grace`] are released for other workers.
pub async fn run(env: Env, shutdown: CancellationToken, background: Background) {
    let background_tasks = background::run(env.clone(), shutdown.clone(), background.clone());
    let fetches = background::fetch(env.clone(), shutdown.clone(), background.clone());
    let fetches = AbortOnDropHandle::new(tokio::spawn(fetches));
    let _watcher = env.settings.watch.clone().map(|folder| {
        let (env, shutdown, background) = (env.clone(), shutdown.clone(), background.clone());
        let watcher = async move { watch::run(&env.uploads, &folder, &shutdown, &background).await };
        AbortOnDropHandle::new(tokio::spawn(watcher))
    });
    let imports = background::import(env.clone(), shutdown.clone(), background.clone());
    let imports = AbortOnDropHandle::new(tokio::spawn(imports));
    let webhooks = background::send_webhooks(env.clone(), shutdown.clone(), background.clone());
    let webhooks = AbortOnDropHandle::new(tokio::spawn(webhooks));
    let background_tasks = AbortOnDropHandle::new(tokio::spawn(background_tasks));
    jobs::process_task::run(env, shutdown, &background).await;
    // They do not fail: a panic restarts them.
    let _ = tokio::join!(fetches, imports, webhooks);
    drop(background_tasks);
}
