//! Log lines (text on a terminal, JSON otherwise) and the registry of metrics.

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

/// The log of this process, whose lost lines are counted from before the registry exists.
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
        // The writer never fails, and the subscriber reports its own errors with a macro that panics when standard
        // error cannot be written.
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

/// Seconds: from a request that is answered at once to a task that runs for an hour.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0,
];
/// Media seconds per second.
const FACTORS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// How often the registry is put in order and what changes without an event is looked up.
const UPKEEP: Duration = Duration::from_secs(5);

/// Installs the registry of this process; `/metrics` prints it.
pub(crate) fn metrics(settings: &Settings, background: &Background) -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .set_buckets_for_metric(Matcher::Full("rushes_realtime_factor".to_owned()), FACTORS)?
        .install_recorder()?;
    meters::begin(settings);
    LOG.get().inspect(|log| log.publish());
    let (upkeep, disks) = (handle.clone(), Disks::of(settings));
    // The first look is done before the first scrape.
    disks.look();
    let background = background.clone();
    tokio::spawn(async move {
        let run = || async {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                ticks.tick().await;
                let (upkeep, disks) = (upkeep.clone(), disks.clone());
                let looked = tokio::task::spawn_blocking(move || {
                    upkeep.run_upkeep();
                    disks.look();
                });
                if let Err(error) = looked.await
                    && let Ok(panic) = error.try_into_panic()
                {
                    std::panic::resume_unwind(panic);
                }
            }
        };
        background.keep("metrics", run).await;
    });
    Ok(handle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;
    use crate::settings::Role;
    use background::{State, Task};

    #[tokio::test]
    async fn the_upkeep_of_the_metrics_starts_again_after_a_panic() {
        let (background, home) = (Background::default(), tempfile::tempdir().unwrap());
        let get = |name: &str| (name == "RUSHES_DATA_DIR").then(|| home.path().into());
        let settings = Settings::read(Role::Up, &get).unwrap();
        let handle = metrics(&settings, &background).unwrap();
        background.panic_in("metrics");
        let well = Task {
            name: "metrics",
            state: State::Running,
            panics: 1,
        };
        while background.tasks() != [well.clone()] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let text = handle.render();
        assert!(
            text.contains("rushes_background_panics_total{task=\"metrics\"} 1"),
            "{text}"
        );
    }
}
