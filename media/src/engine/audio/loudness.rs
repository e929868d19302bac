//! Loudness normalization: measures the spans (EBU R 128), in a pass of its own over their audio, and computes the gain
//! that brings them to the target of the plan.
//!
//! One measurement is enough when the true peak stays below the ceiling with that gain. Otherwise the limiter reduces
//! the peaks, and with them the loudness, by an amount that depends on the audio. The limited audio is then measured
//! again and the gain raised by what is missing, up to [`MAX_CORRECTIONS`] times.

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

/// Integrated loudness at or below this is silence: the absolute gate of EBU R 128 is -70 LUFS.
const SILENCE_LUFS: f64 = -69.9;

/// Accepted deviation from the target, in LU.
const TOLERANCE_LU: f64 = 0.3;

/// Most measurements of limited audio.
const MAX_CORRECTIONS: u32 = 5;

/// Least loudness in LU that 1 dB of gain is assumed to add. Where it adds less at first, it soon adds more, so that a
/// correction computed from less would overshoot.
const MIN_EFFECT: f64 = 0.5;

/// Samples per frame that is sent to the filter.
const FRAME_SAMPLES: usize = 4_096;

/// A measurement of audio.
#[derive(Clone, Copy, Debug)]
struct Loudness {
    integrated_lufs: f64,
    /// Highest true peak; 1 is full scale.
    peak: f64,
}

/// Gain that brings the spans to the loudness of the plan. `None` when the plan has no target, or when the audio is
/// silent or too short to measure.
///
/// # Errors
/// As [`Reader::run`].
pub(crate) fn measure_gain(
    context: &TranscodeContext<'_>,
    audio: Option<AudioParams>,
    reporter: &mut ProgressReporter<'_>,
) -> Result<Option<Gain>, Failure> {
    let Some((target_lufs, audio)) = context.plan.loudness_lufs.map(f64::from).zip(audio) else {
        return Ok(None);
    };
    let mut measure = |gain| measure_loudness(context, audio, gain, reporter);
    let Some(original) = measure(None)? else {
        return Ok(None);
    };
    let mut gain_db = target_lufs - original.integrated_lufs;
    let (mut added_db, mut previous_lufs) = (gain_db, original.integrated_lufs);
    for _ in 0..MAX_CORRECTIONS {
        let gain = Gain::new(gain_db, original.peak);
        if !gain.is_limited() {
            break;
        }
        let Some(limited) = measure(Some(gain))? else { break };
        let missing_lu = target_lufs - limited.integrated_lufs;
        if missing_lu.abs() <= TOLERANCE_LU {
            break;
        }
        // Secant method: the loudness that the last change of the gain added tells how much a decibel adds now.
        let added_lu = limited.integrated_lufs - previous_lufs;
        let effect = if added_db.abs() > TOLERANCE_LU {
            added_lu / added_db
        } else {
            1.0
        };
        added_db = missing_lu / effect.clamp(MIN_EFFECT, 1.0);
        previous_lufs = limited.integrated_lufs;
        gain_db += added_db;
    }
    Ok(Some(Gain::new(gain_db, original.peak)))
}

/// Decodes the audio of all spans, applies a gain, and measures it.
fn measure_loudness(
    context: &TranscodeContext<'_>,
    audio: AudioParams,
    gain: Option<Gain>,
    reporter: &mut ProgressReporter<'_>,
) -> Result<Option<Loudness>, Failure> {
    let mut meter = LoudnessMeter {
        audio,
        fifo: AudioFifo::new(audio),
        graph: AudioFilterGraph::new(audio, "ebur128=peak=true:metadata=1")?,
        part_us: 0,
        latest: None,
        reporter,
    };
    let spans = timeline::parts(context.plan).into_iter().filter(Part::is_span);
    for part in spans.map(|part| Part { video: None, ..part }) {
        let source = context
            .sources
            .get(part.source_index)
            .ok_or_else(|| plan_mismatch("a file"))?;
        let mut reader = Reader::open(source, &part, context.threads, context.cancel)?;
        reader.seek(0, context.cancel)?;
        meter.begin_part(&part, gain)?;
        reader.run(&mut meter, context.cancel)?;
    }
    meter.fifo.drain()?;
    meter.measure()?;
    Ok(meter.latest.filter(|loudness| loudness.integrated_lufs > SILENCE_LUFS))
}

/// Sink of the readers in the measuring pass.
struct LoudnessMeter<'a, 'b> {
    audio: AudioParams,
    fifo: AudioFifo,
    graph: AudioFilterGraph,
    /// Start of the span on the timeline.
    part_us: i64,
    /// The latest reading: it covers all audio so far.
    latest: Option<Loudness>,
    reporter: &'a mut ProgressReporter<'b>,
}

impl LoudnessMeter<'_, '_> {
    fn begin_part(&mut self, part: &Part, gain: Option<Gain>) -> Result<(), Failure> {
        self.part_us = i64::try_from(part.timeline_us).unwrap_or(i64::MAX);
        let position = u64::try_from(self.audio.us_to_samples(self.part_us)).unwrap_or(0);
        self.fifo.begin_part(position, gain)?;
        self.measure()
    }

    /// Sends the samples of the FIFO to the filter and takes its reading.
    fn measure(&mut self) -> Result<(), Failure> {
        while self.fifo.read_position() < self.fifo.end() {
            let samples = self.fifo.read(FRAME_SAMPLES, false)?;
            self.graph.push(&samples)?;
        }
        while let Some(filtered) = self.graph.pull()? {
            let metadata = filtered.metadata();
            let number = |key: &str| metadata.get(key).and_then(|value| value.parse().ok());
            if let Some((integrated_lufs, peak)) = number("lavfi.r128.I").zip(number("lavfi.r128.true_peak")) {
                self.latest = Some(Loudness { integrated_lufs, peak });
            }
        }
        self.reporter
            .set_measured_us(self.audio.samples_to_us(self.fifo.read_position()));
        Ok(())
    }
}

impl Sink for LoudnessMeter<'_, '_> {
    fn frame(&mut self, _: Video, _: i64, _: i64) -> Result<(), Failure> {
        Ok(())
    }

    fn video_end(&mut self, _: Option<i64>) -> Result<(), Failure> {
        Ok(())
    }

    fn audio(&mut self, mut audio: Audio, at_us: i64) -> Result<(), Failure> {
        let position = self.audio.us_to_samples(at_us.saturating_add(self.part_us));
        self.fifo.write(&mut audio, position)?;
        self.measure()
    }

    fn wants_more(&mut self) -> bool {
        self.reporter.reader_stage().count_item();
        self.reporter.report();
        true
    }
}
