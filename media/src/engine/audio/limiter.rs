//! Applies a gain to audio and limits its true peaks (ITU-R BS.1770, Annex 2): a look-ahead limiter.
//!
//! *Problem.* Samples may stay below the ceiling while the analog curve between them exceeds it. Clipping distorts, and
//! a gain that falls at once clicks. The limiter must be inaudible and must keep every sample at its position.
//!
//! *Mechanism.* For each new sample the peak of the curve around it is computed at four times the sampling rate, with a
//! windowed sinc of [`TAPS`] taps. `ceiling / peak` is the factor that this peak allows. Factors fall at once and
//! recover slowly ([`RELEASE`]).
//!
//! A sample leaves [`DELAY`] samples after it was pushed. Its factor is smoothed in two steps: the lowest factor of a
//! window of [`LOOKAHEAD`] samples (a monotonic queue), then the mean of as many such minima (a running sum). When a
//! peak leaves, every minimum in the mean already contains its factor, so the mean never exceeds what the peak allows.
//!
//! *Invariants.*
//!
//! - All channels get the same factor, so that the stereo image does not move.
//! - As many samples leave as are pushed, after [`Limiter::flush`].
//! - Without a ceiling, samples are only multiplied and nothing is delayed.

use std::collections::VecDeque;
use std::f32::consts::PI;

/// Ceiling for true peaks in dBTP: half a decibel below the documented -1.5 dBTP, because encoders overshoot.
pub(crate) const CEILING_DBTP: f64 = -2.0;

/// Number of samples before a peak in which the factor falls: 5 ms at 48 kHz.
const LOOKAHEAD: usize = 240;

/// Part of the difference to 1 by which the factor recovers per sample. At 48 kHz, three quarters take 0.1 s.
const RELEASE: f32 = 0.000_3;

/// Samples from which the curve between two of them is interpolated.
const TAPS: usize = 12;

/// Delay of the limiter in samples. The interpolation needs half of its taps after the sample.
const DELAY: usize = LOOKAHEAD + TAPS / 2;

/// Gain for a span of audio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gain {
    /// Factor for samples.
    factor: f32,
    /// Ceiling of the limiter, if peaks would exceed it.
    ceiling: Option<f32>,
}

impl Gain {
    /// A gain of `gain_db` for audio whose highest true peak is `peak` times full scale.
    #[allow(clippy::cast_possible_truncation, reason = "factors near one")]
    pub(crate) fn new(gain_db: f64, peak: f64) -> Self {
        let (factor, ceiling) = (db_to_factor(gain_db), db_to_factor(CEILING_DBTP));
        Self {
            factor: factor as f32,
            ceiling: (peak * factor > ceiling).then_some(ceiling as f32),
        }
    }

    /// Returns `true` when peaks are limited.
    pub(crate) const fn is_limited(self) -> bool {
        self.ceiling.is_some()
    }
}

fn db_to_factor(db: f64) -> f64 {
    10_f64.powf(db / 20.0)
}

/// Applies a [`Gain`] to a sequence of samples; see the [module](self).
pub(crate) struct Limiter {
    gain: Gain,
    /// Delay line of each channel. It begins with silence.
    delayed: Vec<VecDeque<f32>>,
    /// Weights of the interpolation at a quarter, a half and three quarters between two samples.
    interpolators: [[f32; TAPS]; 3],
    /// Factor for the latest sample, before smoothing.
    factor: f32,
    /// Number of samples pushed so far.
    pushed: usize,
    /// Monotonic queue of the look-ahead window: positions and factors in rising order. The first is the lowest.
    window: VecDeque<(usize, f32)>,
    /// The latest minima of the window, and their sum.
    minima: VecDeque<f32>,
    minima_sum: f64,
}

impl Limiter {
    pub(crate) fn new(gain: Gain, channels: usize) -> Self {
        Self {
            gain,
            delayed: vec![VecDeque::from(vec![0.0; DELAY]); channels],
            interpolators: [0.25, 0.5, 0.75].map(interpolator),
            factor: 1.0,
            pushed: 0,
            window: VecDeque::new(),
            minima: VecDeque::from(vec![1.0; LOOKAHEAD + 1]),
            minima_sum: (LOOKAHEAD + 1) as f64,
        }
    }

    /// Number of pushed samples that have not left yet.
    pub(crate) fn delay(&self) -> usize {
        if self.gain.is_limited() {
            self.pushed.min(DELAY)
        } else {
            0
        }
    }

    /// Pushes samples of each channel and adds those that are ready to `output`.
    pub(crate) fn push(&mut self, planes: &[&[f32]], output: &mut [VecDeque<f32>]) {
        let gain = self.gain.factor;
        let Some(ceiling) = self.gain.ceiling else {
            for (samples, output) in planes.iter().zip(output) {
                output.extend(samples.iter().map(|sample| sample * gain));
            }
            return;
        };
        for index in 0..planes.first().map_or(0, |plane| plane.len()) {
            for (delayed, plane) in self.delayed.iter_mut().zip(planes) {
                delayed.push_back(plane.get(index).copied().unwrap_or(0.0) * gain);
            }
            let factor = self.next_factor(ceiling);
            self.pushed += 1;
            for (delayed, output) in self.delayed.iter_mut().zip(&mut *output) {
                let sample = delayed.pop_front().unwrap_or(0.0) * factor;
                // The first ones are the silence with which the delay line began.
                if self.pushed > DELAY {
                    output.push_back(sample);
                }
            }
        }
    }

    /// Adds the delayed samples to `output` and resets the limiter.
    pub(crate) fn flush(&mut self, output: &mut [VecDeque<f32>]) {
        let rest = vec![0.0; self.delay()];
        // If fewer samples than the delay were pushed, the initial silence must leave first; it is not output.
        let missing = if rest.is_empty() { 0 } else { DELAY - rest.len() };
        let silence = vec![0.0; missing];
        for part in [&silence, &rest] {
            let planes = vec![part.as_slice(); self.delayed.len()];
            self.push(&planes, output);
        }
        *self = Self::new(self.gain, self.delayed.len());
    }

    /// Smoothed factor for the sample that leaves next. It is never higher than the peaks in the look-ahead allow.
    fn next_factor(&mut self, ceiling: f32) -> f32 {
        let peaks = self.delayed.iter().map(|delayed| self.true_peak(delayed, ceiling));
        let allowed = ceiling / peaks.fold(ceiling, f32::max);
        self.factor = allowed.min(self.factor + (1.0 - self.factor) * RELEASE);
        // An earlier factor that is not lower can never be the minimum again.
        while self.window.back().is_some_and(|(_, factor)| *factor >= self.factor) {
            self.window.pop_back();
        }
        self.window.push_back((self.pushed, self.factor));
        while self
            .window
            .front()
            .is_some_and(|(position, _)| position + LOOKAHEAD < self.pushed)
        {
            self.window.pop_front();
        }
        let minimum = self.window.front().map_or(1.0, |(_, factor)| *factor);
        self.minima.push_back(minimum);
        let oldest = self.minima.pop_front().unwrap_or(1.0);
        self.minima_sum += f64::from(minimum) - f64::from(oldest);
        #[allow(clippy::cast_possible_truncation, reason = "a factor of at most one")]
        let mean = (self.minima_sum / (LOOKAHEAD + 1) as f64) as f32;
        mean
    }

    /// Peak of the curve between the two samples in the middle of the latest [`TAPS`] samples.
    fn true_peak(&self, delayed: &VecDeque<f32>, ceiling: f32) -> f32 {
        let latest = || delayed.range(delayed.len().saturating_sub(TAPS)..);
        let highest = latest().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        // Fast path: where no sample reaches half the ceiling, the curve between them stays below the ceiling.
        if highest < ceiling / 2.0 {
            return highest;
        }
        let middle = latest().skip(TAPS / 2 - 1).take(2);
        let sample_peak = middle.fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let between = self.interpolators.iter().map(|weights| {
            let sum: f32 = latest().zip(weights).map(|(sample, weight)| sample * weight).sum();
            sum.abs()
        });
        between.fold(sample_peak, f32::max)
    }
}

/// Weights of a sinc with a cosine window, for a fraction of the way between the two samples in the middle.
#[allow(clippy::cast_precision_loss, reason = "counts to twelve")]
fn interpolator(fraction: f32) -> [f32; TAPS] {
    std::array::from_fn(|tap| {
        let distance = tap as f32 - (TAPS / 2 - 1) as f32 - fraction;
        let sinc = (PI * distance).sin() / (PI * distance);
        sinc * (PI * distance / TAPS as f32).cos().max(0.0)
    })
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
mod tests {
    use super::*;

    /// Limits a channel in chunks.
    fn run(gain: Gain, samples: &[f32]) -> Vec<f32> {
        let (mut limiter, mut out) = (Limiter::new(gain, 1), vec![VecDeque::new()]);
        for chunk in samples.chunks(1_000) {
            limiter.push(&[chunk], &mut out);
            assert!(out[0].len() + limiter.delay() <= samples.len());
        }
        limiter.flush(&mut out);
        out.remove(0).into()
    }

    fn tone(amplitude: f32, count: usize) -> Vec<f32> {
        (0..count).map(|n| amplitude * (n as f32 * 0.131).sin()).collect()
    }

    #[test]
    fn audio_below_the_ceiling_is_only_multiplied() {
        let samples = tone(0.2, 5_000);
        let louder = run(Gain::new(6.0, 0.2), &samples);
        let limited = run(Gain::new(6.0, 1.0), &samples);
        assert_eq!((louder.len(), limited.len()), (5_000, 5_000));
        for ((sample, louder), limited) in samples.iter().zip(louder).zip(limited) {
            assert!((louder - sample * 1.995_26).abs() < 1e-4);
            assert!((limited - louder).abs() < 1e-5);
        }
    }

    #[test]
    fn peaks_are_limited_where_they_are_and_all_samples_keep_their_position() {
        let mut samples = tone(0.05, 48_000);
        samples[10_000..10_200].iter_mut().for_each(|sample| *sample *= 18.0);
        let out = run(Gain::new(12.0, 0.9), &samples);
        assert_eq!(out.len(), samples.len());
        let peak = out.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!((0.7..=0.795).contains(&peak), "{peak}");
        // Far before and long after the peak only the gain is applied.
        for at in [100, 9_000, 46_000] {
            let expected = samples[at] * 3.981;
            assert!((out[at] - expected).abs() < 0.01, "{at}: {} for {expected}", out[at]);
        }
    }

    #[test]
    fn short_audio_is_complete() {
        for count in [1, 100, DELAY, DELAY + 1] {
            assert_eq!(run(Gain::new(0.0, 2.0), &tone(0.5, count)), tone(0.5, count), "{count}");
        }
    }
}
