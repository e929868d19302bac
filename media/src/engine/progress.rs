//! How far the work is: counters that the outputs turn, and what they add up to.

use domain::protocol::{Phase, Progress};
use domain::{Plan, plan::Content};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Least time between two words about it.
const EVERY: Duration = Duration::from_millis(500);

/// What one output has done; shared with its thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    frames: AtomicU64,
    media_us: AtomicU64,
}

impl Meter {
    /// Counts encoded frames.
    pub(super) fn add_frames(&self, frames: u64) {
        self.0.frames.fetch_add(frames, Ordering::Relaxed);
    }

    /// Tells how much of the output is there, in microseconds of its length.
    pub(super) fn reached(&self, media_us: u64) {
        self.0.media_us.fetch_max(media_us, Ordering::Relaxed);
    }

    fn frames(&self) -> u64 {
        self.0.frames.load(Ordering::Relaxed)
    }

    fn media_us(&self) -> u64 {
        self.0.media_us.load(Ordering::Relaxed)
    }
}

/// Adds the meters up and tells it, not too often.
pub(super) struct Teller<'a> {
    tell: &'a mut dyn FnMut(Progress),
    /// Each output's meter and planned length.
    outputs: Vec<(Meter, u64)>,
    started: Instant,
    told: Option<Instant>,
    percent: u8,
}

impl<'a> Teller<'a> {
    /// A teller for the outputs of a plan. Movies are the work; sound and posters count only when there is no movie.
    pub(super) fn new(plan: &Plan, tell: &'a mut dyn FnMut(Progress)) -> (Self, Vec<Meter>) {
        let meters: Vec<_> = plan.outputs.iter().map(|_| Meter::default()).collect();
        let is_movie = |content: &Content| matches!(content, Content::Movie(_) | Content::Hls(_));
        let movies = plan.outputs.iter().any(|output| is_movie(&output.content));
        let counted = plan
            .outputs
            .iter()
            .zip(&meters)
            .filter(|(output, _)| !movies || is_movie(&output.content));
        let teller = Self {
            tell,
            outputs: counted
                .map(|(output, meter)| (meter.clone(), plan.duration_us(output)))
                .collect(),
            started: Instant::now(),
            told: None,
            percent: 0,
        };
        (teller, meters)
    }

    /// Tells how far it is, unless it was told a moment ago.
    pub(super) fn tell(&mut self) {
        if self.told.is_none_or(|told| told.elapsed() >= EVERY) {
            self.told = Some(Instant::now());
            let planned: u64 = self.outputs.iter().map(|(_, planned)| planned).sum();
            let done: u64 = self
                .outputs
                .iter()
                .map(|(meter, planned)| meter.media_us().min(*planned))
                .sum();
            // The last percent is told when the files are complete.
            let percent = (done * 100).checked_div(planned).unwrap_or(0).min(99);
            self.percent = self.percent.max(u8::try_from(percent).unwrap_or(99));
            self.say();
        }
    }

    /// Tells that it is done.
    pub(super) fn finish(&mut self) {
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
        (self.tell)(Progress {
            phase: Phase::Transcode,
            percent: self.percent,
            frames,
            fps: (frames as f64 / seconds) as f32,
            speed: (media_us as f64 / 1e6 / seconds) as f32,
            eta_s: (self.percent > 0).then_some(left.ceil() as u64),
        });
    }
}
