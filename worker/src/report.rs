//! What was done and why, as the API shows it; and what is known of an attempt that failed.

use domain::plan::{Cost, Sample, Warning, WarningCode, predict};
use domain::protocol::{Depth, Report, SandboxStatus};
use domain::{Plan, Probe};
use entity::output;
use entity::trace::Findings;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// What is known of an attempt so far.
pub(crate) struct Notes {
    phase_began: Instant,
    known: Map<String, Value>,
    timings: Map<String, Value>,
    plan: Option<Value>,
    predicted: Option<(String, Cost)>,
}

impl Notes {
    pub(crate) fn new() -> Self {
        Self {
            phase_began: Instant::now(),
            known: Map::new(),
            timings: Map::new(),
            plan: None,
            predicted: None,
        }
    }

    /// A phase has ended: how long it took, in all takes, is kept under this name.
    pub(crate) fn took(&mut self, phase: &str) {
        let total = self.timings.entry(format!("{phase}_ms")).or_insert(0.into());
        *total = (total.as_u64().unwrap_or(0) + ms(self.phase_began.elapsed())).into();
        self.phase_began = Instant::now();
    }

    /// What is going to be done, and what that is expected to cost.
    pub(crate) fn planned(&mut self, plan: &Plan, probe: &Probe, threads: u32) {
        let (class, cost) = predict(plan, probe, threads);
        let expected = json!({ "class": class, "cpu_s": cost.cpu_s, "wall_s": cost.wall_s, "bytes": cost.bytes });
        self.known.insert("predicted".to_owned(), expected);
        self.plan = Some(json!(plan));
        self.known.insert("warnings".to_owned(), json!(plan.warnings));
        self.predicted = Some((class, cost));
    }

    /// What the kernel granted.
    pub(crate) fn child(&mut self, sandbox: &SandboxStatus) {
        self.known.insert("sandbox".to_owned(), json!(sandbox));
    }

    /// All that is known, for an attempt that failed.
    pub(crate) fn unfinished(self) -> Findings {
        let mut report = self.known;
        report.insert("timings".to_owned(), self.timings.into());
        Findings {
            report: report.into(),
            plan: self.plan,
        }
    }

    /// The report of a processed task, and what it came to beside what was expected.
    pub(crate) fn finished(mut self, made: &Done<'_>) -> (Findings, Option<(String, Sample)>) {
        let predicted = self.predicted.take();
        let bytes_out: u64 = made.outputs.iter().map(|output| output.bytes).sum();
        let wall_s = Duration::from_millis(made.report.wall_ms).as_secs_f64();
        let facts = json!({
            "outputs": outputs(made),
            "warnings": warnings(made),
            "cpu_ms": made.report.cpu_ms,
            "wall_ms": made.report.wall_ms,
            "peak_memory_bytes": made.report.peak_memory_bytes,
            "bytes_in": made.bytes_in,
            "bytes_out": bytes_out,
            "media_ms": ms(media(made.plan)),
            "speed": (speed(made.plan, made.report) * 100.0).round() / 100.0,
            "ffmpeg": made.report.ffmpeg,
            "verified": made.depth,
        });
        let mut findings = self.unfinished();
        if let (Some(report), Value::Object(facts)) = (findings.report.as_object_mut(), facts) {
            report.extend(facts);
        }
        let actual = Cost {
            cpu_s: Duration::from_millis(made.report.cpu_ms).as_secs_f64(),
            wall_s,
            bytes: bytes_out as f64,
        };
        (
            findings,
            predicted.map(|(class, predicted)| (class, Sample { predicted, actual })),
        )
    }
}

/// What a finished attempt is reported from.
pub(crate) struct Done<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) report: &'a Report,
    pub(crate) outputs: &'a [output::New],
    pub(crate) sandbox: &'a SandboxStatus,
    pub(crate) depth: Depth,
    pub(crate) bytes_in: u64,
}

/// Media seconds made per second of the transcode.
pub(crate) fn speed(plan: &Plan, made: &Report) -> f64 {
    let wall = Duration::from_millis(made.wall_ms).as_secs_f64();
    media(plan).as_secs_f64() / wall.max(0.001)
}

/// The length of the longest output.
fn media(plan: &Plan) -> Duration {
    let longest = plan.outputs.iter().map(|output| plan.duration_us(output)).max();
    Duration::from_micros(longest.unwrap_or_default())
}

fn outputs(made: &Done<'_>) -> Vec<Value> {
    let rows = made.plan.outputs.iter().zip(&made.report.outputs).zip(made.outputs);
    let rows = rows.map(|((planned, made), stored)| {
        json!({
            "name": planned.file,
            "kind": planned.content.kind(),
            "steps": planned.steps,
            "encoder": planned.content,
            "frames": made.frames,
            "duration_ms": made.duration_us / 1_000,
            "packets_from_ms": made.packets_from_us.map(|us| us / 1_000),
            "bytes": stored.bytes,
        })
    });
    rows.collect()
}

fn warnings<'a>(made: &Done<'a>) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = made
        .plan
        .warnings
        .iter()
        .chain(&made.report.warnings)
        .cloned()
        .collect();
    if !made.sandbox.is_full() {
        let detail = format!("landlock: {}, seccomp: {}", made.sandbox.landlock, made.sandbox.seccomp);
        warnings.push(Warning::new(WarningCode::SandboxPartial, detail));
    }
    warnings
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
