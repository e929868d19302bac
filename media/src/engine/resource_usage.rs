//! Wall time, CPU time and memory of a transcode.

use domain::plan::Warning;
use domain::protocol::{Made, Report};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use std::time::Instant;

/// Runs from the start of the work.
pub(crate) struct ResourceUsage {
    started: Instant,
    before: Option<Usage>,
}

impl ResourceUsage {
    /// The work begins.
    pub(crate) fn begin() -> Self {
        Self {
            started: Instant::now(),
            before: usage(),
        }
    }

    /// The report of work that is done.
    pub(crate) fn report(&self, outputs: Vec<Made>, warnings: Vec<Warning>) -> Report {
        let (wall, after) = (self.started.elapsed(), usage());
        Report {
            outputs,
            warnings,
            silent_source_us: 0,
            uneven_frames: false,
            cpu_ms: cpu_ms(after.as_ref()).saturating_sub(cpu_ms(self.before.as_ref())),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
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

/// The version of libavcodec, such as `59.37.100`.
fn version() -> String {
    let number = ffmpeg_next::codec::version();
    format!("libavcodec {}.{}.{}", number >> 16, number >> 8 & 0xff, number & 0xff)
}
