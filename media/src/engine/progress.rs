//! Progress of a transcode: counters that the outputs increment, and their sum as percent, speed and remaining time.

use crate::engine::stage::{Stage, Stages};
use domain::Plan;
use domain::plan::Content;
use domain::protocol::{Phase, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Least time between two words about it.
const EVERY: Duration = Duration::from_millis(500);

/// To measure sound takes about this part of the time that it takes to make an output.
const MEASURING_SHARE: u64 = 10;

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
    pub(crate) fn of_stage(&self, stage: Stage) -> Self {
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
    pub(crate) fn reached(&self, media_us: u64) {
        self.counts.media_us.fetch_max(media_us, Ordering::Relaxed);
        self.stage.moves();
    }

    fn frames(&self) -> u64 {
        self.counts.frames.load(Ordering::Relaxed)
    }

    fn media_us(&self) -> u64 {
        self.counts.media_us.load(Ordering::Relaxed)
    }
}

/// Adds the meters up and tells it, not too often.
pub(crate) struct ProgressReporter<'a> {
    tell: &'a mut dyn FnMut(Progress),
    /// Each output's meter and planned length.
    outputs: Vec<(OutputProgress, u64)>,
    /// How much was measured, and how much will be, in microseconds of sound.
    measured: (u64, u64),
    stages: Stages,
    reading: Stage,
    started: Instant,
    told: Option<Instant>,
    percent: u8,
}

impl<'a> ProgressReporter<'a> {
    /// A teller for the outputs of a plan. Movies are the work; sound and posters count only when there is no movie.
    pub(crate) fn new(plan: &Plan, tell: &'a mut dyn FnMut(Progress)) -> (Self, Vec<OutputProgress>) {
        let stages = Stages::new();
        let meters: Vec<_> = plan
            .outputs
            .iter()
            .map(|_| OutputProgress::new(stages.stage()))
            .collect();
        let is_movie = |content: &Content| matches!(content, Content::Movie(_) | Content::Hls(_));
        let movies = plan.outputs.iter().any(|output| is_movie(&output.content));
        let counted = plan
            .outputs
            .iter()
            .zip(&meters)
            .filter(|(output, _)| !movies || is_movie(&output.content));
        let reporter = Self {
            tell,
            outputs: counted
                .map(|(output, meter)| (meter.clone(), plan.duration_us(output)))
                .collect(),
            measured: (0, plan.loudness_lufs.map_or(0, |_| plan.span_us)),
            reading: stages.stage(),
            stages,
            started: Instant::now(),
            told: None,
            percent: 0,
        };
        (reporter, meters)
    }

    /// The stages of the work.
    pub(crate) const fn stages(&self) -> &Stages {
        &self.stages
    }

    /// The stage that reads and decodes.
    pub(crate) const fn reading(&self) -> &Stage {
        &self.reading
    }

    /// Notes how much of the sound was measured.
    pub(crate) fn measured(&mut self, us: u64) {
        let (done, planned) = &mut self.measured;
        *done = us.clamp(*done, *planned);
    }

    /// Tells how far it is, unless it was told a moment ago.
    pub(crate) fn tell(&mut self) {
        if self.told.is_none_or(|told| told.elapsed() >= EVERY) {
            self.told = Some(Instant::now());
            let (measured, to_measure) = self.measured;
            let planned: u64 = self.outputs.iter().map(|(_, planned)| planned).sum();
            let done: u64 = self
                .outputs
                .iter()
                .map(|(meter, planned)| meter.media_us().min(*planned))
                .sum();
            let (done, planned) = (
                done + measured / MEASURING_SHARE,
                planned + to_measure / MEASURING_SHARE,
            );
            // The last percent is told when the files are complete.
            let percent = (done * 100).checked_div(planned).unwrap_or(0).min(99);
            self.percent = self.percent.max(u8::try_from(percent).unwrap_or(99));
            self.say();
        }
    }

    /// Tells that it is done.
    pub(crate) fn finish(&mut self) {
        self.percent = 100;
        self.say();
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "figures for showing only"
    )]
    fn say(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let frames = self.outputs.iter().map(|(meter, _)| meter.frames()).sum::<u64>();
        let media_us = self
            .outputs
            .iter()
            .map(|(meter, _)| meter.media_us())
            .max()
            .unwrap_or(0);
        let left = f64::from(100 - self.percent) / f64::from(self.percent.max(1)) * seconds;
        let (moved, still_ms) = self.stages.look();
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
        let (mut told, meter) = (Vec::new(), OutputProgress::new(stages.stage()));
        let mut tell = |step: Progress| told.push(step.percent);
        let mut reporter = ProgressReporter {
            tell: &mut tell,
            outputs: vec![(meter.clone(), 90_000_000)],
            measured: (0, 100_000_000),
            reading: stages.stage(),
            stages,
            started: Instant::now(),
            told: None,
            percent: 0,
        };
        for measured_us in [0, 50_000_000, 120_000_000, 10] {
            reporter.measured(measured_us);
            reporter.told = None;
            reporter.tell();
        }
        meter.reached(45_000_000);
        reporter.told = None;
        reporter.tell();
        assert_eq!(told, [0, 5, 10, 10, 55]);
    }
}
