//! Finds the loudest moment of audio before it is encoded, so that verification can look for it in the finished file.

use crate::engine::audio::params::AudioParams;
use domain::protocol::Loudest;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::frame::Audio;

/// What stays below this is silence, in thousandths of full scale: an encoder may leave it out.
const SILENCE_PERMILLE: u32 = 10;

/// How much of the way to the next sample the two curves go that only follow what is below 1 kHz, and below 80 Hz.
/// What is between them no encoder leaves out, as it may do with a constant or with what few people hear.
const LOW: f32 = 0.123;
const SLOW: f32 = 0.010_4;

/// After so many samples the curves have found a constant that the sound begins with.
const SETTLED: u64 = 960;

/// Keeps the curves from running into numbers so small that the processor is slow with them.
const HUM: f32 = 1e-18;

/// What was heard of sound whose samples came without a gap.
pub(crate) struct PeakMeter {
    params: AudioParams,
    filters: Vec<LowPass>,
    samples_seen: u64,
    peak: f32,
    peak_at: u64,
}

/// A channel, ever smoother.
#[derive(Clone, Default)]
struct LowPass {
    low: f32,
    lower: f32,
    slow: f32,
}

impl LowPass {
    /// How far the sample is from silence, as far as it matters.
    fn follow(&mut self, sample: f32) -> f32 {
        self.low += LOW * (sample + HUM - self.low);
        self.lower += LOW * (self.low - self.lower);
        self.slow += SLOW * (self.lower - self.slow);
        (self.lower - self.slow).abs()
    }
}

impl PeakMeter {
    pub(crate) fn new(params: AudioParams) -> Self {
        Self {
            params,
            filters: vec![LowPass::default(); usize::from(params.channels)],
            samples_seen: 0,
            peak: 0.0,
            peak_at: 0,
        }
    }

    /// Listens to a frame that was taken off a tape.
    pub(crate) fn push(&mut self, samples: &Audio) {
        let packed = samples.format() == Sample::F32(Type::Packed);
        let (count, width) = (samples.samples(), self.filters.len());
        for (index, filters) in self.filters.iter_mut().enumerate() {
            let (plane, first, step) = if packed { (0, index, width) } else { (index, 0, 1) };
            let channel = samples.plane::<f32>(plane).iter().skip(first).step_by(step);
            for (place, sample) in (self.samples_seen..).zip(channel.take(count)) {
                let loud = filters.follow(*sample);
                if loud > self.peak && place >= SETTLED {
                    (self.peak, self.peak_at) = (loud, place);
                }
            }
        }
        self.samples_seen += count as u64;
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative, and what is too large becomes the largest"
    )]
    pub(crate) fn peak_permille(&self) -> u32 {
        (self.peak * 1_000.0) as u32
    }

    /// The loudest moment of all; `None` when all was silence.
    pub(crate) fn loudest(&self) -> Option<Loudest> {
        let peak_permille = self.peak_permille();
        (peak_permille >= SILENCE_PERMILLE).then(|| Loudest {
            at_us: self.params.us_of(self.peak_at),
            peak_permille,
        })
    }
}
