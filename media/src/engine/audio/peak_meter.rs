//! Peak meter: finds the loudest moment of audio before it is encoded, so that verification can look for it in the
//! finished file.
//!
//! The meter measures between 80 Hz and 1 kHz only. Encoders may remove a constant offset, and high frequencies that
//! are masked, but not this band: silence at its peak in the finished file is a fault. Two low-pass filters per channel
//! cut it out: one below 1 kHz, applied twice, minus one below 80 Hz.

use crate::engine::audio::params::AudioParams;
use domain::protocol::AudioPeak;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::frame::Audio;

/// Peaks below this are silence, in thousandths of full scale: an encoder may drop them.
const SILENCE_PERMILLE: u32 = 10;

/// Coefficients of one-pole low-pass filters at 48 kHz, `1 - exp(-2 * pi * f / 48000)`.
const LOW_PASS_1_KHZ: f32 = 0.123;
const LOW_PASS_80_HZ: f32 = 0.010_4;

/// Number of samples after which the filters have settled on a constant offset at the beginning: 20 ms at 48 kHz.
const SETTLING_SAMPLES: u64 = 960;

/// Keeps the filters from decaying to denormal numbers, with which processors are slow.
const DENORMAL_OFFSET: f32 = 1e-18;

/// Peak of continuous audio so far.
pub(crate) struct PeakMeter {
    params: AudioParams,
    filters: Vec<BandPass>,
    samples_seen: u64,
    peak: f32,
    /// Position of the peak in samples.
    peak_at: u64,
}

/// Filter state of a channel.
#[derive(Clone, Default)]
struct BandPass {
    /// Output of the first and second low-pass at 1 kHz.
    first: f32,
    second: f32,
    /// Output of the low-pass at 80 Hz.
    bass: f32,
}

impl BandPass {
    /// Filters the next sample and returns its amplitude within the band.
    fn amplitude(&mut self, sample: f32) -> f32 {
        self.first += LOW_PASS_1_KHZ * (sample + DENORMAL_OFFSET - self.first);
        self.second += LOW_PASS_1_KHZ * (self.first - self.second);
        self.bass += LOW_PASS_80_HZ * (self.second - self.bass);
        (self.second - self.bass).abs()
    }
}

impl PeakMeter {
    pub(crate) fn new(params: AudioParams) -> Self {
        Self {
            params,
            filters: vec![BandPass::default(); usize::from(params.channels)],
            samples_seen: 0,
            peak: 0.0,
            peak_at: 0,
        }
    }

    /// Measures a frame from an [`AudioFifo`](crate::engine::audio::fifo::AudioFifo), packed or planar.
    pub(crate) fn push(&mut self, frame: &Audio) {
        let packed = frame.format() == Sample::F32(Type::Packed);
        let (count, channels) = (frame.samples(), self.filters.len());
        for (index, filter) in self.filters.iter_mut().enumerate() {
            let (plane, first, step) = if packed { (0, index, channels) } else { (index, 0, 1) };
            let channel = frame.plane::<f32>(plane).iter().skip(first).step_by(step);
            for (position, sample) in (self.samples_seen..).zip(channel.take(count)) {
                let amplitude = filter.amplitude(*sample);
                if amplitude > self.peak && position >= SETTLING_SAMPLES {
                    (self.peak, self.peak_at) = (amplitude, position);
                }
            }
        }
        self.samples_seen += count as u64;
    }

    /// The peak in thousandths of full scale.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative, and the cast saturates"
    )]
    pub(crate) fn peak_permille(&self) -> u32 {
        (self.peak * 1_000.0) as u32
    }

    /// Time and height of the peak; `None` when all audio was silent.
    pub(crate) fn audio_peak(&self) -> Option<AudioPeak> {
        let peak_permille = self.peak_permille();
        (peak_permille >= SILENCE_PERMILLE).then(|| AudioPeak {
            at_us: self.params.samples_to_us(self.peak_at),
            peak_permille,
        })
    }
}
