//! Progress of a transcode. The threads of the outputs increment counters; [`ProgressReporter`] sums them up as
//! percent, speed and remaining time.

use crate::engine::stage::{Stage, Stages};
use domain::Plan;
use domain::plan::Content;
use domain::protocol::{Phase, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Minimum time between two reports.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// The loudness pass takes about `1 / LOUDNESS_COST_DIVISOR` of the time that an output of the same duration takes.
const LOUDNESS_COST_DIVISOR: u64 = 10;

/// Progress of one output, and the stage that renders it. Clones share the same counters.
#[derive(Clone, Debug)]
pub(crate) struct OutputProgress {
    counts: Arc<Counts>,
    stage: Stage,
}

#[derive(Debug, Default)]
struct Counts {
    frames: AtomicU64,
    /// Duration of the output so far, in microseconds.
    media_us: AtomicU64,
}

impl OutputProgress {
    fn new(stage: Stage) -> Self {
        Self {
            counts: Arc::default(),
            stage,
        }
    }

    /// Returns the same counters with another stage, for a rung that has a thread of its own.
    pub(crate) fn with_stage(&self, stage: Stage) -> Self {
        Self {
            counts: self.counts.clone(),
            stage,
        }
    }

    /// The stage that renders the output.
    pub(crate) const fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Adds encoded frames.
    pub(crate) fn add_frames(&self, frames: u64) {
        self.counts.frames.fetch_add(frames, Ordering::Relaxed);
    }

    /// Raises the finished duration of the output to `media_us` microseconds and counts an item of its stage.
    pub(crate) fn advance_to(&self, media_us: u64) {
        self.counts.media_us.fetch_max(media_us, Ordering::Relaxed);
        self.stage.count_item();
    }

    fn frames(&self) -> u64 {
        self.counts.frames.load(Ordering::Relaxed)
    }

    fn media_us(&self) -> u64 {
        self.counts.media_us.load(Ordering::Relaxed)
    }
}

/// Sums up the progress of all outputs and reports it at most every [`MIN_INTERVAL`].
pub(crate) struct ProgressReporter<'a> {
    callback: &'a mut dyn FnMut(Progress),
    /// Progress and planned duration in microseconds of the outputs that count.
    outputs: Vec<(OutputProgress, u64)>,
    loudness_pass: LoudnessPass,
    stages: Stages,
    reader_stage: Stage,
    started: Instant,
    last_sent: Option<Instant>,
    percent: u8,
}

/// Progress of the pass that measures loudness, in microseconds of audio.
struct LoudnessPass {
    measured_us: u64,
    total_us: u64,
}

impl<'a> ProgressReporter<'a> {
    /// Creates a reporter and the progress of each output of a plan, in the order of the outputs. Movies and adaptive
    /// outputs take most of the time; other outputs count only when there are none of these.
    pub(crate) fn new(plan: &Plan, callback: &'a mut dyn FnMut(Progress)) -> (Self, Vec<OutputProgress>) {
        let stages = Stages::new();
        let progresses: Vec<_> = plan
            .outputs
            .iter()
            .map(|_| OutputProgress::new(stages.add_stage()))
            .collect();
        let is_movie = |content: &Content| matches!(content, Content::Movie(_) | Content::Hls(_));
        let movies = plan.outputs.iter().any(|output| is_movie(&output.content));
        let counted = plan
            .outputs
            .iter()
            .zip(&progresses)
            .filter(|(output, _)| !movies || is_movie(&output.content));
        let reporter = Self {
            callback,
            outputs: counted
                .map(|(output, progress)| (progress.clone(), plan.duration_us(output)))
                .collect(),
            loudness_pass: LoudnessPass {
                measured_us: 0,
                total_us: plan.loudness_lufs.map_or(0, |_| plan.span_us),
            },
            reader_stage: stages.add_stage(),
            stages,
            started: Instant::now(),
            last_sent: None,
            percent: 0,
        };
        (reporter, progresses)
    }

    /// All stages of the transcode.
    pub(crate) const fn stages(&self) -> &Stages {
        &self.stages
    }

    /// The stage that reads and decodes.
    pub(crate) const fn reader_stage(&self) -> &Stage {
        &self.reader_stage
    }

    /// Sets how much audio the loudness pass has measured, in microseconds. The value never falls.
    pub(crate) fn set_measured_us(&mut self, us: u64) {
        let LoudnessPass { measured_us, total_us } = &mut self.loudness_pass;
        *measured_us = us.clamp(*measured_us, *total_us);
    }

    /// Reports the progress, unless the last report is less than [`MIN_INTERVAL`] old.
    pub(crate) fn report(&mut self) {
        if self
            .last_sent
            .is_none_or(|last_sent| last_sent.elapsed() >= MIN_INTERVAL)
        {
            self.last_sent = Some(Instant::now());
            let LoudnessPass { measured_us, total_us } = self.loudness_pass;
            let planned: u64 = self.outputs.iter().map(|(_, planned)| planned).sum();
            let done: u64 = self
                .outputs
                .iter()
                .map(|(progress, planned)| progress.media_us().min(*planned))
                .sum();
            let (done, planned) = (
                done + measured_us / LOUDNESS_COST_DIVISOR,
                planned + total_us / LOUDNESS_COST_DIVISOR,
            );
            // 100 percent is reported by `finish`, when all files are complete.
            let percent = (done * 100).checked_div(planned).unwrap_or(0).min(99);
            self.percent = self.percent.max(u8::try_from(percent).unwrap_or(99));
            self.send_now();
        }
    }

    /// Reports 100 percent.
    pub(crate) fn finish(&mut self) {
        self.percent = 100;
        self.send_now();
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "values for display only"
    )]
    fn send_now(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let frames = self.outputs.iter().map(|(progress, _)| progress.frames()).sum::<u64>();
        let media_us = self
            .outputs
            .iter()
            .map(|(progress, _)| progress.media_us())
            .max()
            .unwrap_or(0);
        let remaining_s = f64::from(100 - self.percent) / f64::from(self.percent.max(1)) * seconds;
        let snapshot = self.stages.snapshot();
        (self.callback)(Progress {
            phase: Phase::Transcode,
            percent: self.percent,
            frames,
            fps: (frames as f64 / seconds) as f32,
            speed: (media_us as f64 / 1e6 / seconds) as f32,
            eta_s: (self.percent > 0).then_some(remaining_s.ceil() as u64),
            items_processed: snapshot.items_processed,
            stalled_ms: snapshot.stalled_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudness_pass_counts_a_tenth_of_an_output() {
        let stages = Stages::new();
        let (mut percents, progress) = (Vec::new(), OutputProgress::new(stages.add_stage()));
        let mut callback = |progress: Progress| percents.push(progress.percent);
        let mut reporter = ProgressReporter {
            callback: &mut callback,
            outputs: vec![(progress.clone(), 90_000_000)],
            loudness_pass: LoudnessPass {
                measured_us: 0,
                total_us: 100_000_000,
            },
            reader_stage: stages.add_stage(),
            stages,
            started: Instant::now(),
            last_sent: None,
            percent: 0,
        };
        for measured_us in [0, 50_000_000, 120_000_000, 10] {
            reporter.set_measured_us(measured_us);
            reporter.last_sent = None;
            reporter.report();
        }
        progress.advance_to(45_000_000);
        reporter.last_sent = None;
        reporter.report();
        assert_eq!(percents, [0, 5, 10, 10, 55]);
    }
}
