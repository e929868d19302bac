//! A process from its start to its end.

use crate::data_dir;
use crate::descriptors;
use crate::parts;
use crate::settings::{Role, Settings};
use crate::telemetry;
use anyhow::Context;
use backend::{Alive, AppState, Serving};
use domain::protocol::{SandboxMode, SandboxStatus};
use entity::DatabaseConnection;
use nix::libc::{SIGINT, SIGTERM, SIGXFSZ};
use queue::Queue;
use std::net::SocketAddr;
use storage::Storage;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use worker::Env;

pub(crate) async fn up(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    let serving = serving(&settings, settings.workers)?;
    let (files, bell) = (parts::storage(&settings).await?, parts::queue(&settings).await?);
    let env = parts::worker(&settings, db.clone(), files.clone(), bell.clone())?;
    let sandbox = sandbox(&env, &settings).await?;
    let alive = alive(&settings, &files)?;
    let state = state(&settings, db, files, bell, &alive)?.with_sandbox(settings.sandbox, sandbox);
    together(
        &alive,
        work(env, &alive),
        answer(settings.listen, backend::router(state), serving, &alive),
    )
    .await
}

pub(crate) async fn backend(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    parts::warn_of_risks(&settings, Role::Backend);
    let (files, bell) = (parts::storage(&settings).await?, parts::queue(&settings).await?);
    let alive = alive(&settings, &files)?;
    let router = backend::router(state(&settings, db, files, bell, &alive)?);
    let answer = answer(settings.listen, router, serving(&settings, 0)?, &alive);
    together(&alive, async { Ok(()) }, answer).await
}

pub(crate) async fn worker(settings: Settings, db: DatabaseConnection) -> anyhow::Result<()> {
    let serving = serving(&settings, settings.workers)?;
    parts::warn_of_risks(&settings, Role::Worker);
    let (files, bell) = (parts::storage(&settings).await?, parts::queue(&settings).await?);
    let env = parts::worker(&settings, db.clone(), files.clone(), bell.clone())?;
    sandbox(&env, &settings).await?;
    let alive = alive(&settings, &files)?;
    let metrics = telemetry::metrics(&settings, &alive.background).context("failed to start the metrics")?;
    let Some(address) = settings.metrics_listen else {
        return together(&alive, work(env, &alive), async { Ok(()) }).await;
    };
    let router = backend::telemetry_router(db, files, bell, metrics, alive.clone());
    together(&alive, work(env, &alive), answer(address, router, serving, &alive)).await
}

/// Both to their ends, while the files are where they were; the first that fails ends the process. One without the other is
/// no service, and whatever supervises the process starts it again.
async fn together(
    alive: &Alive,
    work: impl Future<Output = anyhow::Result<()>>,
    answer: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let watch = data_dir::watch(alive.files.clone(), alive.shutdown.clone());
    tokio::try_join!(work, answer, watch).map(drop)
}

/// Works in a task of its own, so that it gets a thread besides the listener.
async fn work(env: Env, alive: &Alive) -> anyhow::Result<()> {
    let worker = worker::run(env, alive.shutdown.clone(), alive.background.clone());
    tokio::spawn(worker).await.context("the worker broke down")
}

/// How connections are served, as the limits of the process allow.
fn serving(settings: &Settings, tasks: usize) -> anyhow::Result<Serving> {
    let connections = descriptors::clients(descriptors::limit(), parts::connections(), tasks)?;
    tracing::info!(connections, "the most connections at a time");
    let default = Serving::default();
    Ok(Serving {
        connections,
        stop_delay: settings.stop_delay,
        language: settings.api.as_ref().map_or(default.language, |api| api.language),
        ..default
    })
}

/// What the kernel grants to lock media children in. Where they cannot work, or must be locked in and cannot be, no work
/// is begun: each task would be claimed, tried four times, and failed.
async fn sandbox(env: &Env, settings: &Settings) -> anyhow::Result<SandboxStatus> {
    env.sandbox().await.context(match settings.sandbox {
        SandboxMode::Require => "RUSHES_SANDBOX=require, and media children cannot work, locked in, on this machine",
        SandboxMode::BestEffort => "media children cannot work on this machine",
    })
}

fn state(
    settings: &Settings,
    db: DatabaseConnection,
    files: Storage,
    bell: Queue,
    alive: &Alive,
) -> anyhow::Result<AppState> {
    let metrics = telemetry::metrics(settings, &alive.background).context("failed to start the metrics")?;
    let config = settings.api.clone().context("this process has no API")?;
    Ok(AppState::new(db, files, bell, config, alive.clone()).with_metrics(metrics))
}

async fn answer(address: SocketAddr, router: backend::Router, serving: Serving, alive: &Alive) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}"))?;
    tracing::info!(%address, "listening");
    let (shutdown, background) = (alive.shutdown.clone(), alive.background.clone());
    backend::serve(listener, router, serving, shutdown, background).await;
    Ok(())
}

/// The background tasks and the token that SIGTERM or Ctrl-C cancels. The second signal ends the process at once.
fn alive(settings: &Settings, files: &Storage) -> anyhow::Result<Alive> {
    let alive = Alive {
        files: data_dir::pin(settings, files)?,
        ..Alive::default()
    };
    listen_for_signals(&alive)?;
    Ok(alive)
}

fn listen_for_signals(alive: &Alive) -> anyhow::Result<()> {
    let terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    // Listened to once, it no longer ends the process: a write beyond `ulimit -f` fails like one on a full disk.
    drop(signal(SignalKind::from_raw(SIGXFSZ)).context("failed to listen for SIGXFSZ")?);
    tokio::spawn(on_signals(alive.clone(), [terminate, interrupt]));
    Ok(())
}

/// The background task `signals`. What it listens on outlives a panic: a signal in between is not lost.
async fn on_signals(alive: Alive, signals: [Signal; 2]) {
    let signals = Mutex::new(signals);
    let listen = || async {
        let mut signals = signals.lock().await;
        let [terminate, interrupt] = &mut *signals;
        loop {
            let number = tokio::select! {
                _ = terminate.recv() => SIGTERM,
                _ = interrupt.recv() => SIGINT,
            };
            if alive.shutdown.is_cancelled() {
                // As shells tell of a program that a signal ended.
                #[allow(clippy::exit, reason = "nothing is to be waited for any more")]
                std::process::exit(128 + number);
            }
            tracing::info!("stopping; once more to stop at once");
            alive.shutdown.cancel();
        }
    };
    alive.background.keep("signals", listen).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use background::State;
    use std::time::Duration;

    #[tokio::test]
    async fn a_signal_still_stops_a_process_whose_handler_panicked() {
        let alive = Alive::default();
        listen_for_signals(&alive).unwrap();
        let panics = async |count| {
            while alive.background.tasks().first().is_none_or(|task| task.panics < count) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        for count in 1..=2 {
            alive.background.panic_in("signals");
            panics(count).await;
        }
        // It may be waiting to start again.
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
        alive.shutdown.cancelled().await;
        let task = alive.background.tasks().remove(0);
        assert_eq!((task.state, task.panics), (State::Running, 2));
    }
}
