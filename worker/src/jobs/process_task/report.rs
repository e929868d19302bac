//! Collects the report of an attempt, [`TaskReport`]: phases, plan, sandbox, outputs, warnings and cost.

use super::outcome::MeasuredCost;
use domain::plan::{Cost, CostSample, Warning, WarningCode, predict};
use domain::protocol::{SandboxStatus, TranscodeReport, VerifyDepth};
use domain::report::{PredictedCost, ReportedOutput, TaskReport, Timings, WrittenOutput};
use domain::{Plan, Probe};
use entity::output;
use entity::trace::AttemptRecord;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Collects the report while the attempt runs, so that a failed attempt has one as well.
pub(crate) struct ReportBuilder {
    phase_started: Instant,
    timings: Timings,
    report: TaskReport,
    plan: Option<Value>,
    /// Class of work and predicted cost.
    predicted: Option<(String, Cost)>,
}

impl ReportBuilder {
    pub(crate) fn new() -> Self {
        Self {
            phase_started: Instant::now(),
            timings: Timings::default(),
            report: TaskReport::default(),
            plan: None,
            predicted: None,
        }
    }

    /// Records the end of a phase in its field. A phase that runs twice is recorded with the sum.
    pub(crate) fn phase_ended(&mut self, phase: fn(&mut Timings) -> &mut Option<u64>) {
        *phase(&mut self.timings).get_or_insert(0) += millis(self.phase_started.elapsed());
        self.phase_started = Instant::now();
    }

    /// Records the plan and its predicted cost.
    pub(crate) fn planned(&mut self, plan: &Plan, probe: &Probe, threads: u32) {
        let (class, cost) = predict(plan, probe, threads);
        self.report.predicted = Some(PredictedCost::new(&class, cost));
        self.report.warnings = Some(plan.warnings.clone());
        self.plan = Some(json!(plan));
        self.predicted = Some((class, cost));
    }

    /// Records the sandbox of the child that rendered.
    pub(crate) fn sandbox(&mut self, status: &SandboxStatus) {
        self.report.sandbox = Some(status.clone());
    }

    /// Records the files in the bucket of the customer.
    pub(crate) fn written(&mut self, written: Vec<WrittenOutput>) {
        self.report.destination = Some(written);
    }

    /// The report of a failed attempt: what is known so far.
    pub(crate) fn unfinished(self) -> AttemptRecord {
        let report = TaskReport {
            timings: Some(self.timings),
            ..self.report
        };
        AttemptRecord {
            report,
            plan: self.plan,
        }
    }

    /// The report of a successful attempt, and its cost.
    pub(crate) fn finished(mut self, work: &FinishedWork<'_>) -> (AttemptRecord, Option<MeasuredCost>) {
        let predicted = self.predicted.take();
        let bytes_out: u64 = work.outputs.iter().map(|output| output.bytes).sum();
        let AttemptRecord { report, plan } = self.unfinished();
        let report = TaskReport {
            outputs: Some(outputs(work)),
            warnings: Some(warnings(work)),
            cpu_ms: Some(work.report.cpu_ms),
            wall_ms: Some(work.report.wall_ms),
            peak_memory_bytes: Some(work.report.peak_memory_bytes),
            bytes_in: Some(work.bytes_in),
            bytes_out: Some(bytes_out),
            media_ms: Some(millis(duration(work.plan))),
            speed: Some((speed(work.plan, work.report) * 100.0).round() / 100.0),
            ffmpeg: Some(work.report.ffmpeg.clone()),
            verified: Some(work.depth),
            ..report
        };
        let actual = Cost {
            cpu_s: Duration::from_millis(work.report.cpu_ms).as_secs_f64(),
            wall_s: Duration::from_millis(work.report.wall_ms).as_secs_f64(),
            bytes: bytes_out as f64,
        };
        let cost = predicted.map(|(class, predicted)| MeasuredCost {
            class,
            sample: CostSample { predicted, actual },
        });
        (AttemptRecord { report, plan }, cost)
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

fn outputs(work: &FinishedWork<'_>) -> Vec<ReportedOutput> {
    let rows = work.plan.outputs.iter().zip(&work.report.outputs).zip(work.outputs);
    let rows = rows.map(|((planned, rendered), stored)| ReportedOutput {
        name: planned.file.clone(),
        kind: planned.content.kind().to_owned(),
        steps: planned.steps.clone(),
        encoder: planned.content.clone(),
        frames: rendered.frames,
        duration_ms: rendered.duration_us / 1_000,
        packets_from_ms: rendered.packets_from_us.map(|us| us / 1_000),
        bytes: stored.bytes,
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
