//! Progress of a transcode: counters that the outputs increment, and their sum as percent, speed and remaining time.

use crate::engine::stage::{Stage, Stages};
use domain::Plan;
use domain::plan::Content;
use domain::protocol::{Phase, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Least time between two words about it.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// To measure sound takes about this part of the time that it takes to make an output.
const LOUDNESS_COST_DIVISOR: u64 = 10;

/// The progress of one output, and the stage that makes it.
#[derive(Clone, Debug)]
pub(crate) struct OutputProgress {
    counts: Arc<Counts>,
    stage: Stage,
}

#[derive(Debug, Default)]
struct Counts {
    frames: AtomicU64,
    media_us: AtomicU64,
}

impl OutputProgress {
    fn new(stage: Stage) -> Self {
        Self {
            counts: Arc::default(),
            stage,
        }
    }

    /// The same progress, turned by another stage.
    pub(crate) fn with_stage(&self, stage: Stage) -> Self {
        Self {
            counts: self.counts.clone(),
            stage,
        }
    }

    /// The stage that turns it.
    pub(crate) const fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Counts encoded frames.
    pub(crate) fn add_frames(&self, frames: u64) {
        self.counts.frames.fetch_add(frames, Ordering::Relaxed);
    }

    /// Tells how much of the output is there, in microseconds of its length, because a frame or a packet moved.
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

/// Adds the progresses up and tells it, not too often.
pub(crate) struct ProgressReporter<'a> {
    tell: &'a mut dyn FnMut(Progress),
    /// Each output's progress and planned length.
    outputs: Vec<(OutputProgress, u64)>,
    /// How much was measured, and how much will be, in microseconds of sound.
    measured: (u64, u64),
    stages: Stages,
    reader_stage: Stage,
    started: Instant,
    last_sent: Option<Instant>,
    percent: u8,
}

impl<'a> ProgressReporter<'a> {
    /// A teller for the outputs of a plan. Movies are the work; sound and posters count only when there is no movie.
    pub(crate) fn new(plan: &Plan, tell: &'a mut dyn FnMut(Progress)) -> (Self, Vec<OutputProgress>) {
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
            tell,
            outputs: counted
                .map(|(output, progress)| (progress.clone(), plan.duration_us(output)))
                .collect(),
            measured: (0, plan.loudness_lufs.map_or(0, |_| plan.span_us)),
            reader_stage: stages.add_stage(),
            stages,
            started: Instant::now(),
            last_sent: None,
            percent: 0,
        };
        (reporter, progresses)
    }

    /// The stages of the work.
    pub(crate) const fn stages(&self) -> &Stages {
        &self.stages
    }

    /// The stage that reads and decodes.
    pub(crate) const fn reader_stage(&self) -> &Stage {
        &self.reader_stage
    }

    /// Notes how much of the sound was measured.
    pub(crate) fn set_measured_us(&mut self, us: u64) {
        let (done, planned) = &mut self.measured;
        *done = us.clamp(*done, *planned);
    }

    /// Tells how far it is, unless it was told a moment ago.
    pub(crate) fn report(&mut self) {
        if self.last_sent.is_none_or(|last_sent| last_sent.elapsed() >= MIN_INTERVAL) {
            self.last_sent = Some(Instant::now());
            let (measured, to_measure) = self.measured;
            let planned: u64 = self.outputs.iter().map(|(_, planned)| planned).sum();
            let done: u64 = self
                .outputs
                .iter()
                .map(|(progress, planned)| progress.media_us().min(*planned))
                .sum();
            let (done, planned) = (
                done + measured / LOUDNESS_COST_DIVISOR,
                planned + to_measure / LOUDNESS_COST_DIVISOR,
            );
            // The last percent is told when the files are complete.
            let percent = (done * 100).checked_div(planned).unwrap_or(0).min(99);
            self.percent = self.percent.max(u8::try_from(percent).unwrap_or(99));
            self.send_now();
        }
    }

    /// Tells that it is done.
    pub(crate) fn finish(&mut self) {
        self.percent = 100;
        self.send_now();
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "figures for showing only"
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
        let left = f64::from(100 - self.percent) / f64::from(self.percent.max(1)) * seconds;
        let (moved, still_ms) = self.stages.snapshot();
        (self.tell)(Progress {
            phase: Phase::Transcode,
            percent: self.percent,
            frames,
            fps: (frames as f64 / seconds) as f32,
            speed: (media_us as f64 / 1e6 / seconds) as f32,
            eta_s: (self.percent > 0).then_some(left.ceil() as u64),
            moved,
            still_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measuring_moves_the_percent_a_little_and_the_outputs_move_the_rest() {
        let stages = Stages::new();
        let (mut last_sent, progress) = (Vec::new(), OutputProgress::new(stages.add_stage()));
        let mut tell = |step: Progress| last_sent.push(step.percent);
        let mut reporter = ProgressReporter {
            tell: &mut tell,
            outputs: vec![(progress.clone(), 90_000_000)],
            measured: (0, 100_000_000),
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
        assert_eq!(last_sent, [0, 5, 10, 10, 55]);
    }
}
