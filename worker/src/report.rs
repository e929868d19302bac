//! What was done and why, as the API shows it.

use domain::Plan;
use domain::plan::{Warning, WarningCode};
use domain::protocol::{Report, SandboxStatus};
use entity::output;
use serde_json::{Value, json};

/// The report of a processed task: per output what was made and with which settings, warnings, and the cost.
pub(crate) fn bundle(plan: &Plan, made: &Report, outputs: &[output::New], sandbox: &SandboxStatus) -> Value {
    let mut warnings: Vec<&Warning> = plan.warnings.iter().chain(&made.warnings).collect();
    let partial = Warning::new(WarningCode::SandboxPartial, format!("{sandbox:?}"));
    if !sandbox.is_full() {
        warnings.push(&partial);
    }
    let rows = plan.outputs.iter().zip(&made.outputs).zip(outputs);
    let rows = rows.map(|((planned, made), stored)| {
        json!({
            "name": planned.file,
            "kind": planned.content.kind(),
            "steps": planned.steps,
            "encoder": planned.content,
            "frames": made.frames,
            "duration_ms": made.duration_us / 1_000,
            "bytes": stored.bytes,
        })
    });
    json!({
        "outputs": rows.collect::<Vec<_>>(),
        "warnings": warnings,
        "cpu_ms": made.cpu_ms,
        "wall_ms": made.wall_ms,
        "peak_memory_bytes": made.peak_memory_bytes,
        "ffmpeg": made.ffmpeg,
    })
}
