//! Background tasks of a worker process, each in a file with its name, its interval and `run`. They are separate loops,
//! so that none waits for the others: removing files may take long.

mod datasets;
mod fetches;
mod guest_uploads;
mod idempotency_keys;
mod import_retention;
mod imports;
mod searches;
mod shutdown_timer;
mod sweeper;
mod trash;
mod uploads;
mod videos;
mod webhooks;

use crate::env::Env;
use background::Background;
use tokio_util::sync::CancellationToken;

/// Runs the background task that fetches files. It ends some time after `shutdown`, when it has released them.
pub(crate) async fn fetch(env: Env, shutdown: CancellationToken, background: Background) {
    background
        .supervise(fetches::NAME, || fetches::run(&env, &shutdown))
        .await;
}

/// Runs the background task that works on imports. It ends some time after `shutdown`, when it has released them.
pub(crate) async fn import(env: Env, shutdown: CancellationToken, background: Background) {
    background
        .supervise(imports::NAME, || imports::run(&env, &shutdown))
        .await;
}

/// Runs the background task that sends webhooks. It ends some time after `shutdown`, when it has recorded its attempts.
pub(crate) async fn send_webhooks(env: Env, shutdown: CancellationToken, background: Background) {
    background
        .supervise(webhooks::NAME, || webhooks::run(&env, &shutdown))
        .await;
}

/// Runs all other background tasks. The shutdown timer may run until the future is dropped; the others end with
/// `shutdown`.
pub(crate) async fn run(env: Env, shutdown: CancellationToken, background: Background) {
    tokio::join!(
        background.supervise(sweeper::NAME, || sweeper::run(&env, &shutdown)),
        background.supervise(trash::NAME, || trash::run(&env, &shutdown)),
        background.supervise(idempotency_keys::NAME, || { idempotency_keys::run(&env, &shutdown) }),
        background.supervise(import_retention::NAME, || { import_retention::run(&env, &shutdown) }),
        background.supervise(datasets::NAME, || datasets::run(&env, &shutdown)),
        background.supervise(searches::NAME, || searches::run(&env, &shutdown)),
        background.supervise(uploads::NAME, || uploads::run(&env, &shutdown)),
        background.supervise(guest_uploads::NAME, || guest_uploads::run(&env, &shutdown)),
        background.supervise(videos::NAME, || videos::run(&env, &shutdown)),
        background.supervise(shutdown_timer::NAME, || shutdown_timer::run(&env, &shutdown)),
    );
}
