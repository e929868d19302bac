//! The metrics of a process: what each one tells, its values at the start, and those that are looked up from time to time.
//!
//! A counter that appears with its first event has no rate for that event, and an alert on it cannot tell zero from a name that
//! changed; so each exists from the start with all its labels.

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

/// Name, kind and help of every metric of ours; `docs/OPERATIONS.md` names the same.
const METRICS: &[(&str, Kind, &str)] = &[
    (
        "rushes_build_info",
        Gauge,
        "1, with the version of the process and its role.",
    ),
    (
        "rushes_tasks",
        Gauge,
        "Tasks by status, asked of the database; the same in every process.",
    ),
    (
        "rushes_oldest_waiting_task_seconds",
        Gauge,
        "Age of the oldest task that is due and waits for a worker, 0 without one; the same in every process.",
    ),
    (
        "rushes_http_request_duration_seconds",
        Histogram,
        "Time from a request to the head of its reply.",
    ),
    (
        "rushes_logins_total",
        Counter,
        "Logins that were accepted, refused or slowed down; the last counts sign-ups as well.",
    ),
    ("rushes_upload_bytes_total", Counter, "Bytes of files taken in."),
    (
        "rushes_task_wait_seconds",
        Histogram,
        "Time from an upload to each claim of its task.",
    ),
    ("rushes_task_run_seconds", Histogram, "Time of an attempt."),
    (
        "rushes_task_failures_total",
        Counter,
        "Attempts that failed, by the code of the failure.",
    ),
    (
        "rushes_leases_expired_total",
        Counter,
        "Tasks taken from workers that vanished.",
    ),
    ("rushes_realtime_factor", Histogram, "Seconds of media made per second."),
    ("rushes_child_starts_total", Counter, "Media children started."),
    (
        "rushes_worker_slots",
        Gauge,
        "Tasks that this process may work on at a time.",
    ),
    ("rushes_worker_slots_busy", Gauge, "Tasks that this process works on."),
    (
        "rushes_log_lines_lost_total",
        Counter,
        "Log lines that standard error did not take.",
    ),
    (
        "rushes_background_panics_total",
        Counter,
        "Panics of background tasks, each of which was started again.",
    ),
    (
        "rushes_connections_evicted_total",
        Counter,
        "Connections without a request, closed because all places were taken.",
    ),
    (
        "rushes_accept_errors_total",
        Counter,
        "Errors of accepting connections, such as too few descriptors.",
    ),
    (
        "rushes_http_refused_total",
        Counter,
        "What was no HTTP request, by the status that it was answered with.",
    ),
    (
        "rushes_storage_errors_total",
        Counter,
        "Operations on stored files that failed, tries included, by operation and reason.",
    ),
    (
        "rushes_disk_free_bytes",
        Gauge,
        "Bytes that may still be written to the file system of a directory of this process.",
    ),
    (
        "rushes_disk_size_bytes",
        Gauge,
        "Size of the file system of a directory of this process.",
    ),
];

/// Describes all metrics and gives those of this process their first values.
pub(super) fn begin(settings: &Settings) {
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
    if matches!(settings.role, Role::Up | Role::Backend) {
        for outcome in ["accepted", "refused", "slowed_down"] {
            counter!("rushes_logins_total", "outcome" => outcome).absolute(0);
        }
        counter!("rushes_upload_bytes_total").absolute(0);
        for status in ["400", "414", "431"] {
            counter!("rushes_http_refused_total", "status" => status).absolute(0);
        }
    }
    if matches!(settings.role, Role::Up | Role::Worker) {
        for code in domain::Code::of_tasks() {
            counter!("rushes_task_failures_total", "code" => code.as_str()).absolute(0);
        }
        counter!("rushes_leases_expired_total").absolute(0);
        counter!("rushes_child_starts_total").absolute(0);
        let slots = u32::try_from(settings.workers).unwrap_or(u32::MAX);
        gauge!("rushes_worker_slots").set(slots);
        gauge!("rushes_worker_slots_busy").set(0.0);
    }
}

/// Directories whose file systems may fill up.
#[derive(Clone)]
pub(super) struct Disks(Vec<(&'static str, PathBuf)>);

impl Disks {
    pub(super) fn of(settings: &Settings) -> Self {
        let scratch = settings.data_dir.join("scratch");
        let storage = crate::private::storage_directory(&settings.storage_url);
        let all = [
            ("data", Some(settings.data_dir.clone())),
            ("scratch", Some(scratch).filter(|_| settings.role != Role::Backend)),
            ("storage", storage),
        ];
        let known = all.into_iter().filter_map(|(name, path)| Some((name, path?)));
        Self(known.collect())
    }

    /// Looks up what changes without an event. A file system that does not answer blocks.
    pub(super) fn look(&self) {
        metrics_process::Collector::default().collect();
        for (name, path) in &self.0 {
            // A number of before would mislead.
            let (free, size) = statvfs(path).map_or((f64::NAN, f64::NAN), |facts| {
                let block = facts.fragment_size();
                (bytes(facts.blocks_available() * block), bytes(facts.blocks() * block))
            });
            gauge!("rushes_disk_free_bytes", "directory" => *name).set(free);
            gauge!("rushes_disk_size_bytes", "directory" => *name).set(size);
        }
    }
}

/// Gauges are floating point; the last bits of such a number say nothing.
#[allow(clippy::cast_precision_loss, reason = "a disk of petabytes is told to the byte")]
fn bytes(count: u64) -> f64 {
    count as f64
}
