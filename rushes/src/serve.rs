//! Runs the processes `up`, `backend` and `worker` from their start to their end.
//!
//! SIGTERM or SIGINT cancels one token. Worker and HTTP server then finish what is in progress and return. An error of
//! one of them ends the process, because one without the other is no service; the supervisor of the process restarts
//! it.

use crate::api;
use crate::components;
use crate::data_dir;
use crate::fd_limit;
use crate::settings::{Role, Settings};
use crate::telemetry;
use anyhow::Context;
use backend::{AppState, ProcessHealth, ServerConfig};
use domain::protocol::{SandboxMode, SandboxStatus};
use entity::DatabaseConnection;
use nix::libc::{SIGINT, SIGTERM, SIGXFSZ};
use queue::Queue;
use std::net::SocketAddr;
use storage::Storage;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use worker::{Env, FolderWatcher};

/// Runs API and worker.
pub(crate) async fn up(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    let server_config = server_config(&settings, settings.workers)?;
    let storage = components::storage(&settings).await?;
    let queue = components::queue(&settings).await?;
    let env = components::worker(&settings, db.clone(), storage.clone(), queue.clone())?;
    let sandbox = check_sandbox(&env, &settings).await?;
    let health = process_health(&settings, &storage)?;
    let state = app_state(&settings, db, storage, queue, &health)?
        .with_connections(server_config.max_connections)
        .with_sandbox(settings.sandbox, sandbox);
    state.follow_logs(components::library_database(&settings).await?);
    let router = api::router(state, settings.grpc_reflection).await?;
    run(
        &health,
        run_worker(env, &health),
        serve_http(settings.listen, router, server_config, &health),
    )
    .await
}

/// Runs the API.
pub(crate) async fn backend(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    components::warn_of_risks(&settings, Role::Backend);
    let storage = components::storage(&settings).await?;
    let queue = components::queue(&settings).await?;
    let health = process_health(&settings, &storage)?;
    let server_config = server_config(&settings, 0)?;
    let state = app_state(&settings, db, storage, queue, &health)?.with_connections(server_config.max_connections);
    state.follow_logs(components::library_database(&settings).await?);
    let router = api::router(state, settings.grpc_reflection).await?;
    let server = serve_http(settings.listen, router, server_config, &health);
    run(&health, async { Ok(()) }, server).await
}

/// Runs a worker, and its HTTP server for health and metrics if an address is set.
pub(crate) async fn worker(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    let server_config = server_config(&settings, settings.workers)?;
    components::warn_of_risks(&settings, Role::Worker);
    let storage = components::storage(&settings).await?;
    let queue = components::queue(&settings).await?;
    let env = components::worker(&settings, db.clone(), storage.clone(), queue.clone())?;
    check_sandbox(&env, &settings).await?;
    let health = process_health(&settings, &storage)?;
    let metrics = telemetry::metrics(&settings, &health.background).context("failed to start the metrics")?;
    let Some(address) = settings.metrics_listen else {
        return run(&health, run_worker(env, &health), async { Ok(()) }).await;
    };
    let router = backend::telemetry_router(db, storage, queue, metrics, health.clone());
    let server = serve_http(address, router, server_config, &health);
    run(&health, run_worker(env, &health), server).await
}

/// Watches a folder, and does nothing else.
pub(crate) async fn watch(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    let watched = settings.watch.as_ref().context("there is no folder to watch")?;
    let watch = components::watch(&settings, watched)?;
    let storage = components::storage(&settings).await?;
    let queue = components::queue(&settings).await?;
    let health = process_health(&settings, &storage)?;
    let watcher = FolderWatcher::new(db, storage, queue, settings.limits, watch);
    watcher.check().await.map_err(anyhow::Error::msg)?;
    let (shutdown, background) = (health.shutdown.clone(), health.background.clone());
    let watching = async {
        watcher.run(shutdown, background).await;
        Ok(())
    };
    run(&health, watching, async { Ok(()) }).await
}

/// Runs worker and HTTP server to their ends, and checks that the data files stay in place. The first error ends all.
async fn run(
    health: &ProcessHealth,
    worker: impl Future<Output = anyhow::Result<()>>,
    server: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let watch = data_dir::watch(health.files.clone(), health.shutdown.clone());
    tokio::try_join!(worker, server, watch).map(drop)
}

/// Runs the worker in a task of its own, so that it and the HTTP server can run on different threads.
async fn run_worker(env: Env, health: &ProcessHealth) -> anyhow::Result<()> {
    let worker = worker::run(env, health.shutdown.clone(), health.background.clone());
    tokio::spawn(worker).await.context("the worker panicked")
}

/// The configuration of the HTTP server. The number of connections follows from the limit of file descriptors.
fn server_config(settings: &Settings, tasks: usize) -> anyhow::Result<ServerConfig> {
    let connections = fd_limit::clients(fd_limit::limit(), components::connections(), tasks)?;
    tracing::info!(connections, "maximum number of connections");
    let default = ServerConfig::default();
    Ok(ServerConfig {
        max_connections: connections,
        shutdown_delay: settings.shutdown_delay,
        language: settings.api.as_ref().map_or(default.language, |api| api.language),
        ..default
    })
}

/// Checks that media children can be started in the required sandbox. Otherwise the process ends, because every task
/// would be claimed, retried, and failed.
async fn check_sandbox(env: &Env, settings: &Settings) -> anyhow::Result<SandboxStatus> {
    env.sandbox().await.context(match settings.sandbox {
        SandboxMode::Require => {
            "RUSHES_SANDBOX=require, but media children cannot enter the whole sandbox on this machine"
        }
        SandboxMode::BestEffort => "media children cannot work on this machine",
    })
}

fn app_state(
    settings: &Settings,
    db: DatabaseConnection,
    storage: Storage,
    queue: Queue,
    health: &ProcessHealth,
) -> anyhow::Result<AppState> {
    let metrics = telemetry::metrics(settings, &health.background).context("failed to start the metrics")?;
    let config = settings.api.clone().context("this process has no API")?;
    Ok(AppState::new(db, storage, queue, config, health.clone()).with_metrics(metrics))
}

async fn serve_http(
    address: SocketAddr,
    router: backend::Router,
    server_config: ServerConfig,
    health: &ProcessHealth,
) -> anyhow::Result<()> {
    let listener = backend::listen(address).with_context(|| format!("failed to listen on {address}"))?;
    tracing::info!(%address, "listening");
    let (shutdown, background) = (health.shutdown.clone(), health.background.clone());
    backend::serve(listener, router, server_config, shutdown, background).await;
    Ok(())
}

/// The health of this process: its data files, its background tasks, and the token that the first SIGTERM or SIGINT
/// cancels.
fn process_health(settings: &Settings, storage: &Storage) -> anyhow::Result<ProcessHealth> {
    let health = ProcessHealth {
        files: data_dir::pin(settings, storage)?,
        ..ProcessHealth::default()
    };
    handle_signals(&health)?;
    Ok(health)
}

fn handle_signals(health: &ProcessHealth) -> anyhow::Result<()> {
    let terminate = signal(SignalKind::terminate()).context("failed to handle SIGTERM")?;
    let interrupt = signal(SignalKind::interrupt()).context("failed to handle SIGINT")?;
    // SIGXFSZ would end the process. With a handler, a write beyond `ulimit -f` fails with EFBIG, and is treated like
    // one on a full disk. The handler stays installed when the stream is dropped.
    drop(signal(SignalKind::from_raw(SIGXFSZ)).context("failed to handle SIGXFSZ")?);
    tokio::spawn(signal_loop(health.clone(), [terminate, interrupt]));
    Ok(())
}

/// The background task `signals`: the first signal starts the shutdown, the second one ends the process at once. The
/// streams outlive a panic of the task, so no signal is lost.
async fn signal_loop(health: ProcessHealth, streams: [Signal; 2]) {
    let streams = Mutex::new(streams);
    let receive = || async {
        let mut streams = streams.lock().await;
        let [terminate, interrupt] = &mut *streams;
        loop {
            let number = tokio::select! {
                _ = terminate.recv() => SIGTERM,
                _ = interrupt.recv() => SIGINT,
            };
            if health.shutdown.is_cancelled() {
                // The exit status that shells report for a process that a signal ended.
                #[allow(clippy::exit, reason = "the second signal ends the process at once")]
                std::process::exit(128 + number);
            }
            tracing::info!("shutting down; a second signal ends the process at once");
            health.shutdown.cancel();
        }
    };
    health.background.supervise("signals", receive).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails at the first error")]

    use super::*;
    use background::State;
    use std::time::Duration;

    #[tokio::test]
    async fn a_signal_stops_the_process_after_panics_of_the_signal_task() {
        let health = ProcessHealth::default();
        handle_signals(&health).unwrap();
        let panics = async |count| {
            while health.background.tasks().first().is_none_or(|task| task.panics < count) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        for count in 1..=2 {
            health.background.panic_in("signals");
            panics(count).await;
        }
        // The task may be in its pause before the restart; the stream keeps the signal.
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
        health.shutdown.cancelled().await;
        let task = health.background.tasks().remove(0);
        assert_eq!((task.state, task.panics), (State::Running, 2));
    }
}
