//! A process from its start to its end.

use crate::parts;
use crate::settings::{Role, Settings};
use crate::telemetry;
use anyhow::Context;
use backend::AppState;
use domain::protocol::{SandboxMode, SandboxStatus};
use entity::DatabaseConnection;
use queue::Doorbell;
use std::net::SocketAddr;
use storage::Storage;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use worker::Env;

pub(crate) async fn up(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    let (files, bell) = (parts::storage(&settings).await?, parts::doorbell(&settings).await?);
    let env = parts::worker(&settings, db.clone(), files.clone(), bell.clone())?;
    let sandbox = sandbox(&env, &settings).await?;
    let shutdown = on_signal()?;
    let worker = tokio::spawn(worker::run(env, shutdown.clone()));
    let state = state(&settings, db, files, bell)?.with_sandbox(settings.sandbox, sandbox);
    answer(settings.listen, backend::router(state), shutdown).await?;
    worker.await.context("the worker broke down")
}

pub(crate) async fn backend(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    parts::warn_of_risks(&settings, Role::Backend);
    let (files, bell) = (parts::storage(&settings).await?, parts::doorbell(&settings).await?);
    let router = backend::router(state(&settings, db, files, bell)?);
    answer(settings.listen, router, on_signal()?).await
}

pub(crate) async fn worker(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    parts::warn_of_risks(&settings, Role::Worker);
    let (files, bell) = (parts::storage(&settings).await?, parts::doorbell(&settings).await?);
    let env = parts::worker(&settings, db.clone(), files.clone(), bell.clone())?;
    sandbox(&env, &settings).await?;
    let metrics = telemetry::metrics().context("failed to start the metrics")?;
    let shutdown = on_signal()?;
    let telling = settings.metrics_listen.map(|address| {
        let router = backend::telemetry_router(db, files, bell, metrics);
        tokio::spawn(answer(address, router, shutdown.clone()))
    });
    worker::run(env, shutdown).await;
    match telling {
        Some(telling) => telling.await.context("the metrics broke down")?,
        None => Ok(()),
    }
}

/// What the kernel grants to lock media children in. Where they cannot work, or must be locked in and cannot be, no work
/// is begun: each task would be claimed, tried four times, and failed.
async fn sandbox(env: &Env, settings: &Settings) -> anyhow::Result<SandboxStatus> {
    env.sandbox().await.context(match settings.sandbox {
        SandboxMode::Require => "RUSHES_SANDBOX=require, and media children cannot work, locked in, on this machine",
        SandboxMode::BestEffort => "media children cannot work on this machine",
    })
}

fn state(settings: &Settings, db: DatabaseConnection, files: Storage, bell: Doorbell) -> anyhow::Result<AppState> {
    let metrics = telemetry::metrics().context("failed to start the metrics")?;
    let config = settings.api.clone().context("this process has no API")?;
    Ok(AppState::new(db, files, bell, config).with_metrics(metrics))
}

async fn answer(address: SocketAddr, router: backend::Router, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))?;
    tracing::info!(%address, "listening");
    backend::serve(listener, router, shutdown).await;
    Ok(())
}

/// A token that SIGTERM or Ctrl-C cancels. The second signal ends the process at once.
fn on_signal() -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let canceled = shutdown.clone();
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if canceled.is_cancelled() {
                std::process::abort();
            }
            tracing::info!("stopping; once more to stop at once");
            canceled.cancel();
        }
    });
    Ok(shutdown)
}
