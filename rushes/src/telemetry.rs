//! Logging (text on a terminal, JSON otherwise) and metrics.

mod meters;

use crate::log::Log;
use crate::settings::Settings;
use background::Background;
use meters::Disks;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::ChronoUtc;

/// The log of this process. Its lost lines are counted before the registry of metrics exists, and published later.
static LOG: OnceLock<Log> = OnceLock::new();

/// Starts logging.
pub(crate) fn start(filter: &str, log: &Log) {
    LOG.get_or_init(|| log.clone());
    let is_terminal = std::io::stderr().is_terminal();
    log.hook_panics(!is_terminal);
    let filter = EnvFilter::new(filter);
    let timer = ChronoUtc::new("%Y-%m-%dT%H:%M:%S%.3fZ".to_owned());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        // The subscriber would report its own errors with `eprintln!`, which panics when standard error cannot be
        // written.
        .log_internal_errors(false)
        .with_timer(timer);
    if is_terminal {
        builder.with_target(false).init();
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .init();
    }
}

/// Buckets in seconds, from the fastest requests to tasks of an hour.
const SECONDS_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0,
];
/// Buckets of `rushes_realtime_factor`: seconds of media per second.
const FACTOR_BUCKETS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Interval between two upkeeps of the registry and two polls of gauges.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the registry of this process, which `/metrics` prints, and starts the background task `metrics`.
pub(crate) fn metrics(settings: &Settings, background: &Background) -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full("rushes_realtime_factor".to_owned()), FACTOR_BUCKETS)?
        .install_recorder()?;
    meters::initialize(settings);
    LOG.get().inspect(|log| log.publish());
    let (registry, disks) = (handle.clone(), Disks::new(settings));
    // Before the first scrape.
    disks.poll();
    let background = background.clone();
    tokio::spawn(async move {
        let run = || async {
            let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
            loop {
                ticks.tick().await;
                let (registry, disks) = (registry.clone(), disks.clone());
                // On a thread for blocking calls: statvfs(2) may block on a network file system.
                let upkeep = tokio::task::spawn_blocking(move || {
                    registry.run_upkeep();
                    disks.poll();
                });
                // A panic must reach `Background::keep`, which counts it and restarts the task.
                if let Err(error) = upkeep.await
                    && let Ok(panic) = error.try_into_panic()
                {
                    std::panic::resume_unwind(panic);
                }
            }
        };
        background.supervise("metrics", run).await;
    });
    Ok(handle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails at the first error")]

    use super::*;
    use crate::settings::Role;
    use background::{State, Task};

    #[tokio::test]
    async fn the_upkeep_of_the_metrics_is_restarted_after_a_panic() {
        let (background, home) = (Background::default(), tempfile::tempdir().unwrap());
        let get = |name: &str| (name == "RUSHES_DATA_DIR").then(|| home.path().into());
        let settings = Settings::read(Role::Up, &get).unwrap();
        let handle = metrics(&settings, &background).unwrap();
        background.panic_in("metrics");
        let restarted = Task {
            name: "metrics",
            state: State::Running,
            panics: 1,
        };
        while background.tasks() != [restarted.clone()] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let text = handle.render();
        assert!(
            text.contains("rushes_background_panics_total{task=\"metrics\"} 1"),
            "{text}"
        );
    }
}
