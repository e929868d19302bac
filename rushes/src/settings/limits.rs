//! Limits of sources and tasks.

use super::environment::{BadSetting, Bounds, Environment};
use domain::Limits;

/// Upper bound of the limits of a task. A duration of so many seconds still fits into 64 bits in microseconds.
const TASK_MAX: u64 = 1_000_000_000_000;
/// One week.
const DURATION_MAX_S: u64 = 7 * 24 * 3_600;
/// The largest object of S3: 5 TiB.
const UPLOAD_MAX_BYTES: u64 = 5 << 40;

/// Reads `RUSHES_MAX_…`.
pub(super) fn limits(env: &Environment<'_>) -> Result<Limits, BadSetting> {
    let default = Limits::default();
    let seconds = |us: u64| us / 1_000_000;
    let max_duration_s = env.number(
        "RUSHES_MAX_DURATION_S",
        &Bounds::up_to(DURATION_MAX_S, "seconds"),
        seconds(default.max_duration_us),
    )?;
    let of_task = |name, unit, default| env.number(name, &Bounds::up_to(TASK_MAX, unit), default);
    let max_output_duration_s = of_task(
        "RUSHES_MAX_OUTPUT_DURATION_S",
        "seconds",
        seconds(default.max_output_duration_us),
    )?;
    let max_upload_bytes = env.number(
        "RUSHES_MAX_UPLOAD_BYTES",
        &Bounds::up_to(UPLOAD_MAX_BYTES, "bytes"),
        default.max_upload_bytes,
    )?;
    Ok(Limits {
        max_upload_bytes,
        max_duration_us: max_duration_s.saturating_mul(1_000_000),
        max_output_duration_us: max_output_duration_s.saturating_mul(1_000_000),
        max_output_frames: of_task("RUSHES_MAX_OUTPUT_FRAMES", "frames", default.max_output_frames)?,
        max_output_megapixels: of_task(
            "RUSHES_MAX_OUTPUT_MEGAPIXELS",
            "megapixels",
            default.max_output_megapixels,
        )?,
        max_cpu_s: of_task("RUSHES_MAX_TASK_CPU_S", "processor seconds", default.max_cpu_s)?,
        ..default
    })
}
