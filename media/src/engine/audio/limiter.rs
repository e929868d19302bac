//! Applies a gain to audio and limits its true peaks.

use std::collections::VecDeque;
use std::f32::consts::PI;

/// The highest true peak, in dBTP: half a decibel below what is promised, because encoders overshoot.
pub(crate) const CEILING_DBTP: f64 = -2.0;

/// The limiter looks so many samples ahead, and turns down over as many: 5 ms at 48 kHz.
const AHEAD: usize = 240;

/// How much of the way back to full the limiter goes with each sample: most of it in a tenth of a second.
const RELEASE: f32 = 0.000_3;

/// Samples around a gap between two of them from which the curve in it is computed.
const TAPS: usize = 12;

/// Samples that the limiter holds back.
const DELAY: usize = AHEAD + TAPS / 2;

/// How loud sound is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gain {
    gain: f32,
    /// The limiter's ceiling, for sound that would pass it.
    ceiling: Option<f32>,
}

impl Gain {
    /// Louder by `gain_db`, for sound whose highest true peak is `peak` times full scale.
    #[allow(clippy::cast_possible_truncation, reason = "factors near one")]
    pub(crate) fn new(gain_db: f64, peak: f64) -> Self {
        let (gain, ceiling) = (factor(gain_db), factor(CEILING_DBTP));
        Self {
            gain: gain as f32,
            ceiling: (peak * gain > ceiling).then_some(ceiling as f32),
        }
    }

    /// Whether peaks are held down.
    pub(crate) const fn is_limited(self) -> bool {
        self.ceiling.is_some()
    }
}

fn factor(db: f64) -> f64 {
    10_f64.powf(db / 20.0)
}

/// Brings a run of samples to a level.
pub(crate) struct Limiter {
    level: Gain,
    /// What was taken of each channel and not given back.
    held: Vec<VecDeque<f32>>,
    /// Weights of the samples around a gap for three places in it.
    weights: [[f32; TAPS]; 3],
    /// The limiter's factor if it had no need to be gentle.
    factor: f32,
    /// Samples taken so far.
    taken: usize,
    /// Falling factors of the last samples, each with its place: the first is the lowest.
    lowest: VecDeque<(usize, f32)>,
    /// The lowest factor ahead of each of the last samples, and their sum.
    steps: VecDeque<f32>,
    sum: f64,
}

impl Limiter {
    /// A leveler for so many channels.
    pub(crate) fn new(level: Gain, channels: usize) -> Self {
        Self {
            level,
            held: vec![VecDeque::from(vec![0.0; DELAY]); channels],
            weights: [0.25, 0.5, 0.75].map(weights),
            factor: 1.0,
            taken: 0,
            lowest: VecDeque::new(),
            steps: VecDeque::from(vec![1.0; AHEAD + 1]),
            sum: (AHEAD + 1) as f64,
        }
    }

    /// How many samples it holds back.
    pub(crate) fn delay(&self) -> usize {
        if self.level.is_limited() {
            self.taken.min(DELAY)
        } else {
            0
        }
    }

    /// Takes samples of each channel; adds to `out` what is ready.
    pub(crate) fn push(&mut self, planes: &[&[f32]], out: &mut [VecDeque<f32>]) {
        let gain = self.level.gain;
        let Some(ceiling) = self.level.ceiling else {
            for (samples, out) in planes.iter().zip(out) {
                out.extend(samples.iter().map(|sample| sample * gain));
            }
            return;
        };
        for at in 0..planes.first().map_or(0, |plane| plane.len()) {
            for (held, plane) in self.held.iter_mut().zip(planes) {
                held.push_back(plane.get(at).copied().unwrap_or(0.0) * gain);
            }
            let factor = self.next_factor(ceiling);
            self.taken += 1;
            for (held, out) in self.held.iter_mut().zip(&mut *out) {
                let sample = held.pop_front().unwrap_or(0.0) * factor;
                // The first ones are the silence that it began with.
                if self.taken > DELAY {
                    out.push_back(sample);
                }
            }
        }
    }

    /// Adds to `out` what was held back, and begins anew.
    pub(crate) fn flush(&mut self, out: &mut [VecDeque<f32>]) {
        let rest = vec![0.0; self.delay()];
        // Of less than the delay, only the end belongs to what was taken.
        let missing = if rest.is_empty() { 0 } else { DELAY - rest.len() };
        let silence = vec![0.0; missing];
        for part in [&silence, &rest] {
            let planes = vec![part.as_slice(); self.held.len()];
            self.push(&planes, out);
        }
        *self = Self::new(self.level, self.held.len());
    }

    /// The factor for the sample that leaves next: never above what the peaks ahead of it allow, and changing gently.
    fn next_factor(&mut self, ceiling: f32) -> f32 {
        let peaks = self.held.iter().map(|held| self.peak(held, ceiling));
        let allowed = ceiling / peaks.fold(ceiling, f32::max);
        self.factor = allowed.min(self.factor + (1.0 - self.factor) * RELEASE);
        while self.lowest.back().is_some_and(|(_, factor)| *factor >= self.factor) {
            self.lowest.pop_back();
        }
        self.lowest.push_back((self.taken, self.factor));
        while self.lowest.front().is_some_and(|(place, _)| place + AHEAD < self.taken) {
            self.lowest.pop_front();
        }
        let lowest = self.lowest.front().map_or(1.0, |(_, factor)| *factor);
        self.steps.push_back(lowest);
        let oldest = self.steps.pop_front().unwrap_or(1.0);
        self.sum += f64::from(lowest) - f64::from(oldest);
        #[allow(clippy::cast_possible_truncation, reason = "a factor of at most one")]
        let mean = (self.sum / (AHEAD + 1) as f64) as f32;
        mean
    }

    /// The peak of the curve between the two samples in the middle of the last ones.
    fn peak(&self, held: &VecDeque<f32>, ceiling: f32) -> f32 {
        let recent = || held.range(held.len().saturating_sub(TAPS)..);
        let highest = recent().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        // Where no sample is half as high, neither is the curve.
        if highest < ceiling / 2.0 {
            return highest;
        }
        let middle = recent().skip(TAPS / 2 - 1).take(2);
        let own = middle.fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let between = self.weights.iter().map(|weights| {
            let sum: f32 = recent().zip(weights).map(|(sample, weight)| sample * weight).sum();
            sum.abs()
        });
        between.fold(own, f32::max)
    }
}

/// The weights of a sinc under a cosine window, for a place between the two samples in the middle.
#[allow(clippy::cast_precision_loss, reason = "counts to twelve")]
fn weights(place: f32) -> [f32; TAPS] {
    std::array::from_fn(|tap| {
        let distance = tap as f32 - (TAPS / 2 - 1) as f32 - place;
        let sinc = (PI * distance).sin() / (PI * distance);
        sinc * (PI * distance / TAPS as f32).cos().max(0.0)
    })
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
mod tests {
    use super::*;

    fn run(level: Gain, samples: &[f32]) -> Vec<f32> {
        let (mut limiter, mut out) = (Limiter::new(level, 1), vec![VecDeque::new()]);
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
    fn what_stays_below_the_ceiling_is_only_scaled() {
        let samples = tone(0.2, 5_000);
        let louder = run(Gain::new(6.0, 0.2), &samples);
        let held = run(Gain::new(6.0, 1.0), &samples);
        assert_eq!((louder.len(), held.len()), (5_000, 5_000));
        for ((sample, louder), held) in samples.iter().zip(louder).zip(held) {
            assert!((louder - sample * 1.995_26).abs() < 1e-4);
            assert!((held - louder).abs() < 1e-5);
        }
    }

    #[test]
    fn peaks_are_held_below_the_ceiling_where_they_are_and_all_samples_keep_their_place() {
        let mut samples = tone(0.05, 48_000);
        samples[10_000..10_200].iter_mut().for_each(|sample| *sample *= 18.0);
        let out = run(Gain::new(12.0, 0.9), &samples);
        assert_eq!(out.len(), samples.len());
        let peak = out.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!((0.7..=0.795).contains(&peak), "{peak}");
        // Far before and long after the peak nothing is changed but the gain.
        for at in [100, 9_000, 46_000] {
            let expected = samples[at] * 3.981;
            assert!((out[at] - expected).abs() < 0.01, "{at}: {} for {expected}", out[at]);
        }
    }

    #[test]
    fn a_few_samples_come_out_whole() {
        for count in [1, 100, DELAY, DELAY + 1] {
            assert_eq!(run(Gain::new(0.0, 2.0), &tone(0.5, count)), tone(0.5, count), "{count}");
        }
    }
}
