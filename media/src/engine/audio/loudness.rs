//! Measures how loud the spans are (EBU R 128), in a pass of its own over their sound.

use crate::engine::audio::fifo::AudioFifo;
use crate::engine::audio::filter_graph::AudioFilterGraph;
use crate::engine::audio::limiter::Gain;
use crate::engine::audio::params::AudioParams;
use crate::engine::context::TranscodeContext;
use crate::engine::decode::reader::Reader;
use crate::engine::decode::sink::Sink;
use crate::engine::decode::timeline::{self, Part};
use crate::engine::error::plan_mismatch;
use crate::engine::progress::ProgressReporter;
use domain::Failure;
use ffmpeg_next::frame::{Audio, Video};

/// What is softer is silence to EBU R 128; nothing is measured of it.
const SILENCE_LUFS: f64 = -69.9;

/// So near to the target is near enough, in LU.
const NEAR_LU: f64 = 0.3;

/// A limiter takes loudness away with the peaks; so often it is made up for.
const MAX_CORRECTIONS: u32 = 5;

/// A decibel is taken to make at least so much of a decibel: where it makes less, it soon makes more.
const LEAST_EFFECT: f64 = 0.5;

/// What was measured.
#[derive(Clone, Copy, Debug)]
struct Loudness {
    /// Integrated loudness in LUFS.
    integrated_lufs: f64,
    /// The highest true peak; 1 is full scale.
    peak: f64,
}

/// The level that brings the spans to the loudness of the plan; `None` when the plan asks for none, or there is
/// nothing but silence, or too little to measure.
///
/// # Errors
/// As [`Reader::run`].
pub(crate) fn measure_gain(
    context: &TranscodeContext<'_>,
    audio: Option<AudioParams>,
    reporter: &mut ProgressReporter<'_>,
) -> Result<Option<Gain>, Failure> {
    let Some((target, audio)) = context.plan.loudness_lufs.map(f64::from).zip(audio) else {
        return Ok(None);
    };
    let mut measure = |level| measured(context, audio, level, reporter);
    let Some(found) = measure(None)? else { return Ok(None) };
    let mut gain_db = target - found.integrated_lufs;
    let (mut added_db, mut before_lufs) = (gain_db, found.integrated_lufs);
    for _ in 0..MAX_CORRECTIONS {
        let level = Gain::new(gain_db, found.peak);
        if !level.is_limited() {
            break;
        }
        let Some(limited) = measure(Some(level))? else { break };
        let missing_lu = target - limited.integrated_lufs;
        if missing_lu.abs() <= NEAR_LU {
            break;
        }
        let made_lu = limited.integrated_lufs - before_lufs;
        let effect = if added_db.abs() > NEAR_LU {
            made_lu / added_db
        } else {
            1.0
        };
        added_db = missing_lu / effect.clamp(LEAST_EFFECT, 1.0);
        before_lufs = limited.integrated_lufs;
        gain_db += added_db;
    }
    Ok(Some(Gain::new(gain_db, found.peak)))
}

/// Decodes the sound of all spans and measures it, at a level.
fn measured(
    context: &TranscodeContext<'_>,
    audio: AudioParams,
    level: Option<Gain>,
    reporter: &mut ProgressReporter<'_>,
) -> Result<Option<Loudness>, Failure> {
    let mut gauge = LoudnessSink {
        audio,
        fifo: AudioFifo::new(audio),
        graph: AudioFilterGraph::new(audio, "ebur128=peak=true:metadata=1")?,
        part_us: 0,
        found: None,
        reporter,
    };
    let spans = timeline::parts_of(context.plan).into_iter().filter(Part::is_span);
    for part in spans.map(|part| Part { video: None, ..part }) {
        let source = context.sources.get(part.file).ok_or_else(|| plan_mismatch("a file"))?;
        let mut reader = Reader::open(source, &part, context.threads, context.cancel)?;
        reader.seek(0, context.cancel)?;
        gauge.begin(&part, level)?;
        reader.run(&mut gauge, context.cancel)?;
    }
    gauge.fifo.drain()?;
    gauge.measure()?;
    Ok(gauge.found.filter(|found| found.integrated_lufs > SILENCE_LUFS))
}

/// What the reader of the first pass gives its samples to.
struct LoudnessSink<'a, 'b> {
    audio: AudioParams,
    fifo: AudioFifo,
    graph: AudioFilterGraph,
    /// Where the span begins.
    part_us: i64,
    /// The last reading.
    found: Option<Loudness>,
    reporter: &'a mut ProgressReporter<'b>,
}

impl LoudnessSink<'_, '_> {
    fn begin(&mut self, part: &Part, level: Option<Gain>) -> Result<(), Failure> {
        self.part_us = i64::try_from(part.at_us).unwrap_or(i64::MAX);
        let position = u64::try_from(self.audio.samples_in(self.part_us)).unwrap_or(0);
        self.fifo.begin(position, level)?;
        self.measure()
    }

    /// Gives the filter what is on the tape, and reads it.
    fn measure(&mut self) -> Result<(), Failure> {
        while self.fifo.taken() < self.fifo.end() {
            let samples = self.fifo.take(4_096, false)?;
            self.graph.push(&samples)?;
        }
        while let Some(heard) = self.graph.pull()? {
            let notes = heard.metadata();
            let number = |key: &str| notes.get(key).and_then(|value| value.parse().ok());
            if let Some((integrated_lufs, peak)) = number("lavfi.r128.I").zip(number("lavfi.r128.true_peak")) {
                self.found = Some(Loudness { integrated_lufs, peak });
            }
        }
        self.reporter.measured(self.audio.us_of(self.fifo.taken()));
        Ok(())
    }
}

impl Sink for LoudnessSink<'_, '_> {
    fn frame(&mut self, _: Video, _: i64, _: i64) -> Result<(), Failure> {
        Ok(())
    }

    fn video_end(&mut self, _: Option<i64>) -> Result<(), Failure> {
        Ok(())
    }

    fn audio(&mut self, mut audio: Audio, at_us: i64) -> Result<(), Failure> {
        let position = self.audio.samples_in(at_us.saturating_add(self.part_us));
        self.fifo.write(&mut audio, position)?;
        self.measure()
    }

    fn goes_on(&mut self) -> bool {
        self.reporter.reading().moves();
        self.reporter.tell();
        true
    }
}
