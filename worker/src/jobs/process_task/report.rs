//! The report of an attempt, as the API shows it: phases, plan, sandbox, outputs, warnings and cost.

use super::outcome::MeasuredCost;
use domain::plan::{Cost, CostSample, Warning, WarningCode, predict};
use domain::protocol::{SandboxStatus, TranscodeReport, VerifyDepth};
use domain::{Plan, Probe};
use entity::output;
use entity::trace::AttemptRecord;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// Collects the report while the attempt runs, so that a failed attempt has one as well.
pub(crate) struct ReportBuilder {
    phase_started: Instant,
    fields: Map<String, Value>,
    /// Duration of each phase in milliseconds.
    timings: Map<String, Value>,
    plan: Option<Value>,
    /// Class of work and predicted cost.
    predicted: Option<(String, Cost)>,
}

impl ReportBuilder {
    pub(crate) fn new() -> Self {
        Self {
            phase_started: Instant::now(),
            fields: Map::new(),
            timings: Map::new(),
            plan: None,
            predicted: None,
        }
    }

    /// Records the end of a phase. A phase that runs twice is recorded with the sum.
    pub(crate) fn phase_ended(&mut self, phase: &str) {
        let total = self.timings.entry(format!("{phase}_ms")).or_insert(0.into());
        *total = (total.as_u64().unwrap_or(0) + millis(self.phase_started.elapsed())).into();
        self.phase_started = Instant::now();
    }

    /// Records the plan and its predicted cost.
    pub(crate) fn planned(&mut self, plan: &Plan, probe: &Probe, threads: u32) {
        let (class, cost) = predict(plan, probe, threads);
        let predicted = json!({ "class": class, "cpu_s": cost.cpu_s, "wall_s": cost.wall_s, "bytes": cost.bytes });
        self.fields.insert("predicted".to_owned(), predicted);
        self.plan = Some(json!(plan));
        self.fields.insert("warnings".to_owned(), json!(plan.warnings));
        self.predicted = Some((class, cost));
    }

    /// Records the sandbox of the child that rendered.
    pub(crate) fn sandbox(&mut self, status: &SandboxStatus) {
        self.fields.insert("sandbox".to_owned(), json!(status));
    }

    /// The report of a failed attempt.
    pub(crate) fn unfinished(self) -> AttemptRecord {
        let mut report = self.fields;
        report.insert("timings".to_owned(), self.timings.into());
        AttemptRecord {
            report: report.into(),
            plan: self.plan,
        }
    }

    /// The report of a successful attempt, and its cost.
    pub(crate) fn finished(mut self, work: &FinishedWork<'_>) -> (AttemptRecord, Option<MeasuredCost>) {
        let predicted = self.predicted.take();
        let bytes_out: u64 = work.outputs.iter().map(|output| output.bytes).sum();
        let wall_s = Duration::from_millis(work.report.wall_ms).as_secs_f64();
        let fields = json!({
            "outputs": outputs(work),
            "warnings": warnings(work),
            "cpu_ms": work.report.cpu_ms,
            "wall_ms": work.report.wall_ms,
            "peak_memory_bytes": work.report.peak_memory_bytes,
            "bytes_in": work.bytes_in,
            "bytes_out": bytes_out,
            "media_ms": millis(duration(work.plan)),
            "speed": (speed(work.plan, work.report) * 100.0).round() / 100.0,
            "ffmpeg": work.report.ffmpeg,
            "verified": work.depth,
        });
        let mut trace = self.unfinished();
        if let (Some(report), Value::Object(fields)) = (trace.report.as_object_mut(), fields) {
            report.extend(fields);
        }
        let actual = Cost {
            cpu_s: Duration::from_millis(work.report.cpu_ms).as_secs_f64(),
            wall_s,
            bytes: bytes_out as f64,
        };
        let cost = predicted.map(|(class, predicted)| MeasuredCost {
            class,
            sample: CostSample { predicted, actual },
        });
        (trace, cost)
    }
}

/// The facts of a successful attempt.
pub(crate) struct FinishedWork<'a> {
    pub(crate) plan: &'a Plan,
    /// The report of the media child.
    pub(crate) report: &'a TranscodeReport,
    pub(crate) outputs: &'a [output::New],
    pub(crate) sandbox: &'a SandboxStatus,
    pub(crate) depth: VerifyDepth,
    /// Size of all sources.
    pub(crate) bytes_in: u64,
}

/// Seconds of media per second of the transcode.
pub(crate) fn speed(plan: &Plan, report: &TranscodeReport) -> f64 {
    let wall = Duration::from_millis(report.wall_ms).as_secs_f64();
    duration(plan).as_secs_f64() / wall.max(0.001)
}

/// Duration of the longest output.
fn duration(plan: &Plan) -> Duration {
    let longest = plan.outputs.iter().map(|output| plan.duration_us(output)).max();
    Duration::from_micros(longest.unwrap_or_default())
}

fn outputs(work: &FinishedWork<'_>) -> Vec<Value> {
    let rows = work.plan.outputs.iter().zip(&work.report.outputs).zip(work.outputs);
    let rows = rows.map(|((planned, rendered), stored)| {
        json!({
            "name": planned.file,
            "kind": planned.content.kind(),
            "steps": planned.steps,
            "encoder": planned.content,
            "frames": rendered.frames,
            "duration_ms": rendered.duration_us / 1_000,
            "packets_from_ms": rendered.packets_from_us.map(|us| us / 1_000),
            "bytes": stored.bytes,
        })
    });
    rows.collect()
}

/// The warnings of plan and child, and one for an incomplete sandbox.
fn warnings(work: &FinishedWork<'_>) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = work
        .plan
        .warnings
        .iter()
        .chain(&work.report.warnings)
        .cloned()
        .collect();
    if !work.sandbox.is_full() {
        let detail = format!("landlock: {}, seccomp: {}", work.sandbox.landlock, work.sandbox.seccomp);
        warnings.push(Warning::new(WarningCode::SandboxPartial, detail));
    }
    warnings
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
