//! Wall-clock time, CPU time and peak memory of a transcode, for its report.

use domain::plan::Warning;
use domain::protocol::{OutputReport, TranscodeReport};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use std::time::Instant;

/// Measures from the start of a transcode. CPU time and memory are those of the whole process (`getrusage`), which runs
/// one transcode at a time.
pub(crate) struct ResourceUsage {
    started: Instant,
    before: Option<Usage>,
}

impl ResourceUsage {
    /// Starts the measurement.
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            before: usage(),
        }
    }

    /// Creates the report of a finished transcode. Memory is the peak of the process since it was started.
    pub(crate) fn report(&self, outputs: Vec<OutputReport>, warnings: Vec<Warning>) -> TranscodeReport {
        let (wall, after) = (self.started.elapsed(), usage());
        TranscodeReport {
            outputs,
            warnings,
            source_audio_gap_us: 0,
            has_variable_frame_rate: false,
            cpu_ms: cpu_ms(after.as_ref()).saturating_sub(cpu_ms(self.before.as_ref())),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            // `ru_maxrss` is in KiB on Linux.
            peak_memory_bytes: after.map_or(0, |usage| u64::try_from(usage.max_rss()).unwrap_or(0) * 1_024),
            ffmpeg: version(),
        }
    }
}

fn usage() -> Option<Usage> {
    getrusage(UsageWho::RUSAGE_SELF).ok()
}

fn cpu_ms(usage: Option<&Usage>) -> u64 {
    let ms = usage.map_or(0, |usage| {
        let (user, system) = (usage.user_time(), usage.system_time());
        (user.tv_sec() + system.tv_sec()) * 1_000 + (user.tv_usec() + system.tv_usec()) / 1_000
    });
    u64::try_from(ms).unwrap_or(0)
}

/// Name and version of libavcodec, such as `libavcodec 59.37.100`.
fn version() -> String {
    let number = ffmpeg_next::codec::version();
    format!("libavcodec {}.{}.{}", number >> 16, number >> 8 & 0xff, number & 0xff)
}
