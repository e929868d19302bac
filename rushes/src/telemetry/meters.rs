//! The metrics of a process: their help texts, their initial values, and the gauges that are polled.
//!
//! Each counter exists from the start, with all its labels. A counter that appeared with its first event would have
//! no rate for that event, and an alert could not distinguish zero from a renamed metric.

use crate::permissions;
use crate::settings::{Role, Settings};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use nix::sys::statvfs::statvfs;
use std::path::PathBuf;

enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

/// Name, kind and help text of each metric of ours. `docs/OPERATIONS.md` lists the same names.
const METRICS: &[(&str, Kind, &str)] = &[
    (
        "rushes_build_info",
        Gauge,
        "1, with the version of the process and its role.",
    ),
    (
        "rushes_tasks",
        Gauge,
        "Tasks by status, read from the database; the same in every process.",
    ),
    (
        "rushes_oldest_waiting_task_seconds",
        Gauge,
        "Age of the oldest due task that waits for a worker, 0 if none waits; the same in every process.",
    ),
    (
        "rushes_imports",
        Gauge,
        "Imports that have not ended by status, read from the database; the same in every process.",
    ),
    (
        "rushes_oldest_import_seconds",
        Gauge,
        "Age of the oldest import that has not ended, 0 without one; the same in every process.",
    ),
    (
        "rushes_http_request_duration_seconds",
        Histogram,
        "Time from the request to the head of the reply, without the time that a long poll waits for a change.",
    ),
    (
        "rushes_logins_total",
        Counter,
        "Logins by outcome: accepted, refused, or slowed down by a rate limit; the last also counts sign-ups.",
    ),
    ("rushes_upload_bytes_total", Counter, "Bytes of uploaded files."),
    ("rushes_grpc_calls_total", Counter, "gRPC calls by method and status."),
    (
        "rushes_grpc_call_duration_seconds",
        Histogram,
        "Time from the head of a gRPC call to its last message.",
    ),
    (
        "rushes_library_search_seconds",
        Histogram,
        "Duration of a search in the catalog.",
    ),
    (
        "rushes_library_catalog_age_seconds",
        Gauge,
        "Time since the catalog was last known to be complete.",
    ),
    (
        "rushes_library_degraded_seconds_total",
        Counter,
        "Seconds in which the library was answered without the database.",
    ),
    (
        "rushes_database_breaker_open",
        Gauge,
        "1 while the database is away and requests that need it are refused at once, else 0.",
    ),
    (
        "rushes_task_wait_seconds",
        Histogram,
        "Time from the upload to each claim of the task.",
    ),
    ("rushes_task_run_seconds", Histogram, "Duration of an attempt."),
    ("rushes_task_failures_total", Counter, "Failed attempts by error code."),
    (
        "rushes_tasks_postponed_total",
        Counter,
        "Attempts that were postponed, not failed, because the machine or the database lacked a resource.",
    ),
    (
        "rushes_leases_expired_total",
        Counter,
        "Tasks taken from workers whose lease expired or whose process was killed.",
    ),
    (
        "rushes_realtime_factor",
        Histogram,
        "Seconds of media rendered per second.",
    ),
    (
        "rushes_child_starts_total",
        Counter,
        "Media child processes that were started.",
    ),
    (
        "rushes_worker_slots",
        Gauge,
        "Maximum number of tasks that this process works on at the same time.",
    ),
    (
        "rushes_worker_slots_busy",
        Gauge,
        "Tasks that this process is working on.",
    ),
    (
        "rushes_log_lines_lost_total",
        Counter,
        "Log lines that could not be written to standard error.",
    ),
    (
        "rushes_background_panics_total",
        Counter,
        "Panics of background tasks; the task was restarted after each.",
    ),
    (
        "rushes_connections_evicted_total",
        Counter,
        "Connections closed to make room for a new one when the limit was reached.",
    ),
    (
        "rushes_accept_errors_total",
        Counter,
        "Errors while accepting connections, such as too few file descriptors.",
    ),
    (
        "rushes_http_refused_total",
        Counter,
        "Malformed HTTP requests by the status of the reply.",
    ),
    (
        "rushes_storage_errors_total",
        Counter,
        "Failed storage operations by operation and reason; each try counts.",
    ),
    (
        "rushes_task_updates_dropped_total",
        Counter,
        "Messages about changes of tasks that Redis did not accept; clients that wait learn of the change later.",
    ),
    ("rushes_event_streams", Gauge, "Open streams of events."),
    (
        "rushes_event_streams_dropped_total",
        Counter,
        "Streams of events that were ended because the client read too slowly.",
    ),
    (
        "rushes_event_lag_seconds",
        Histogram,
        "Time from an event to its delivery to the streams of this process.",
    ),
    (
        "rushes_webhook_attempts_total",
        Counter,
        "Attempts to deliver a message to a webhook by outcome: delivered, retried (it will be tried again), or failed for good.",
    ),
    (
        "rushes_lookup_calls_total",
        Counter,
        "Calls of the lookup service by outcome: answered, retried (one try failed), failed after all tries, or invalid.",
    ),
    (
        "rushes_disk_free_bytes",
        Gauge,
        "Free bytes of the file system of a directory of this process.",
    ),
    (
        "rushes_disk_size_bytes",
        Gauge,
        "Size in bytes of the file system of a directory of this process.",
    ),
];

/// Describes all metrics and sets the initial values of those of this process.
pub(super) fn initialize(settings: &Settings) {
    for (name, kind, help) in METRICS {
        match kind {
            Counter => describe_counter!(*name, *help),
            Gauge => describe_gauge!(*name, *help),
            Histogram => describe_histogram!(*name, *help),
        }
    }
    metrics_process::Collector::default().describe();
    let (role, version) = (settings.role.as_str(), env!("CARGO_PKG_VERSION"));
    gauge!("rushes_build_info", "version" => version, "role" => role).set(1.0);
    for operation in ["reach", "read", "write", "remove"] {
        for reason in ["full", "unavailable"] {
            counter!("rushes_storage_errors_total", "operation" => operation, "reason" => reason).absolute(0);
        }
    }
    counter!("rushes_connections_evicted_total").absolute(0);
    counter!("rushes_accept_errors_total").absolute(0);
    counter!("rushes_task_updates_dropped_total").absolute(0);
    if matches!(settings.role, Role::Up | Role::Backend) {
        for outcome in ["accepted", "refused", "slowed_down"] {
            counter!("rushes_logins_total", "outcome" => outcome).absolute(0);
        }
        counter!("rushes_upload_bytes_total").absolute(0);
        gauge!("rushes_event_streams").set(0.0);
        counter!("rushes_event_streams_dropped_total").absolute(0);
        for status in ["400", "414", "431"] {
            counter!("rushes_http_refused_total", "status" => status).absolute(0);
        }
    }
    if matches!(settings.role, Role::Up | Role::Worker) {
        for code in domain::Code::of_tasks() {
            counter!("rushes_task_failures_total", "code" => code.as_str()).absolute(0);
        }
        for outcome in ["delivered", "retried", "failed"] {
            counter!("rushes_webhook_attempts_total", "outcome" => outcome).absolute(0);
        }
        for outcome in ["answered", "retried", "failed", "invalid"] {
            counter!("rushes_lookup_calls_total", "outcome" => outcome).absolute(0);
        }
        counter!("rushes_tasks_postponed_total").absolute(0);
        counter!("rushes_leases_expired_total").absolute(0);
        counter!("rushes_child_starts_total").absolute(0);
        let slots = u32::try_from(settings.workers).unwrap_or(u32::MAX);
        gauge!("rushes_worker_slots").set(slots);
        gauge!("rushes_worker_slots_busy").set(0.0);
    }
}

/// Directories whose file systems are polled.
#[derive(Clone)]
pub(super) struct Disks(Vec<(&'static str, PathBuf)>);

impl Disks {
    pub(super) fn new(settings: &Settings) -> Self {
        let scratch = settings.data_dir.join("scratch");
        let storage = permissions::storage_directory(&settings.storage_url);
        let all = [
            ("data", Some(settings.data_dir.clone())),
            ("scratch", Some(scratch).filter(|_| settings.role != Role::Backend)),
            ("storage", storage),
        ];
        let known = all.into_iter().filter_map(|(name, path)| Some((name, path?)));
        Self(known.collect())
    }

    /// Sets the gauges of the process and of file systems. Blocks while a file system does not answer.
    pub(super) fn poll(&self) {
        metrics_process::Collector::default().collect();
        for (name, path) in &self.0 {
            // NaN on an error: the previous value would be misleading.
            let (free, size) = statvfs(path).map_or((f64::NAN, f64::NAN), |stats| {
                let block = stats.fragment_size();
                (bytes(stats.blocks_available() * block), bytes(stats.blocks() * block))
            });
            gauge!("rushes_disk_free_bytes", "directory" => *name).set(free);
            gauge!("rushes_disk_size_bytes", "directory" => *name).set(size);
        }
    }
}

/// Gauges are floating point.
#[allow(clippy::cast_precision_loss, reason = "exact below 8 PiB, and close enough above")]
fn bytes(count: u64) -> f64 {
    count as f64
}
