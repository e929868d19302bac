//! A FIFO of resampled audio. Gaps in the timestamps are filled with silence, overlaps are dropped.
//!
//! *Problem.* Decoded audio may start before or after the span, have gaps, overlaps and jitter, and change its sampling
//! rate or channel layout in the middle. An encoder needs one continuous sequence of samples whose position is its
//! time.
//!
//! *Mechanism.* [`AudioFifo::write`] compares the timestamp of a frame with the write position: the samples in the FIFO
//! plus those that the resampler and the limiter still hold. A difference of up to [`TOLERANCE_MS`] is jitter and is
//! ignored. A larger gap is filled with silence. Of a larger overlap, the samples that are already in the FIFO are
//! dropped from the new frame. The first frame after a change of format is placed exactly.
//!
//! Silence is stored as a number (`Run`), so that a gap of an hour takes no memory. Samples are limited to
//! [`MAX_BUFFERED_SAMPLES`] per channel; samples beyond are dropped and counted as lost.
//!
//! *Invariants.*
//!
//! - Positions only grow, and count samples from the beginning of the output.
//! - Every channel has as many samples in `buffered` as all `runs` together.
//! - Samples of a part that are dropped are counted in `lost`, except for overlaps within the tolerance.
//!
//! *Rejected.* Stretching audio to its timestamps, as `aresample=async` does: it changes the pitch to follow jitter.

use crate::engine::audio::limiter::{Gain, Limiter};
use crate::engine::audio::params::AudioParams;
use crate::engine::error;
use crate::engine::ffi::frame;
use domain::Failure;
use domain::protocol::LostAudio;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::frame::Audio;
use ffmpeg_next::software::resampling;
use ffmpeg_next::{ChannelLayout, Dictionary};
use std::collections::VecDeque;

/// A timestamp that is off by less than this is jitter; by more, a gap or an overlap.
const TOLERANCE_MS: i64 = 30;

/// Most samples of a channel in the FIFO: three minutes at 48 kHz. Files whose audio is interleaved further ahead of
/// the video lose some. Silence does not count.
const MAX_BUFFERED_SAMPLES: usize = 180 * 48_000;

/// A number of silent samples, followed by a number of buffered samples.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    silent: u64,
    samples: u64,
}

/// Dropped samples: the position of the first one, and the number of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lost {
    position: u64,
    samples: u64,
}

/// The FIFO; see the [module](self). Positions count samples from the beginning of the output.
pub(crate) struct AudioFifo {
    params: AudioParams,
    /// Contents of the FIFO in order.
    runs: VecDeque<Run>,
    /// Samples of the runs, per channel.
    buffered: Vec<VecDeque<f32>>,
    read_position: u64,
    /// Position at which the current part begins.
    part_start: u64,
    lost: Option<Lost>,
    /// Number of the next resampled samples to drop, because they are before the end of the FIFO.
    skip: u64,
    /// `true` when the skipped samples overlap samples of the same part, so that they count as lost.
    skips_overlap: bool,
    resampler: Option<resampling::Context>,
    limiter: Option<Limiter>,
}

impl AudioFifo {
    pub(crate) fn new(params: AudioParams) -> Self {
        Self {
            params,
            runs: VecDeque::new(),
            buffered: vec![VecDeque::new(); usize::from(params.channels)],
            read_position: 0,
            part_start: 0,
            lost: None,
            skip: 0,
            skips_overlap: false,
            resampler: None,
            limiter: None,
        }
    }

    /// Position after the last sample.
    pub(crate) fn end(&self) -> u64 {
        self.read_position + self.runs.iter().map(|run| run.silent + run.samples).sum::<u64>()
    }

    /// Audio that was dropped, because the FIFO was full or because its timestamps overlap other audio.
    pub(crate) fn lost_audio(&self) -> Option<LostAudio> {
        self.lost.map(|lost| LostAudio {
            at_us: self.params.samples_to_us(lost.position),
            length_us: self.params.samples_to_us(lost.samples),
        })
    }

    /// Position of the next sample that is read.
    pub(crate) const fn read_position(&self) -> u64 {
        self.read_position
    }

    /// Adds silence up to a position.
    fn fill_silence_until(&mut self, position: u64) {
        let missing = position.saturating_sub(self.end());
        match self.runs.back_mut() {
            Some(run) if run.samples == 0 => run.silent += missing,
            _ => self.runs.push_back(Run {
                silent: missing,
                samples: 0,
            }),
        }
    }

    /// Removes the samples from a position on.
    pub(crate) fn truncate_at(&mut self, position: u64) {
        let mut excess = self.end().saturating_sub(position.max(self.read_position));
        while let Some(run) = self.runs.back_mut().filter(|_| excess > 0) {
            let samples = run.samples.min(excess);
            let silent = run.silent.min(excess - samples);
            run.samples -= samples;
            run.silent -= silent;
            excess -= samples + silent;
            for channel in &mut self.buffered {
                channel.truncate(channel.len() - to_usize(samples).min(channel.len()));
            }
            if run.samples + run.silent == 0 {
                self.runs.pop_back();
            }
        }
    }

    /// Starts a new part at `position`, with a gain of its own. Audio of the part before it is cut off or padded with
    /// silence there.
    pub(crate) fn begin_part(&mut self, position: u64, gain: Option<Gain>) -> Result<(), Failure> {
        self.drain()?;
        self.limiter = gain.map(|gain| Limiter::new(gain, self.buffered.len()));
        self.skip = 0;
        self.skips_overlap = false;
        self.truncate_at(position);
        self.fill_silence_until(position);
        self.part_start = position;
        Ok(())
    }

    /// Resamples a frame and adds it. `position` is that of its first sample by its timestamp; it may be before the end
    /// of the FIFO, or negative.
    pub(crate) fn write(&mut self, frame: &mut Audio, position: i64) -> Result<(), Failure> {
        let is_new_resampler = self.prepare_resampler(frame)?;
        let resampler_delay = self
            .resampler
            .as_ref()
            .and_then(resampling::Context::delay)
            .map_or(0, |delay| delay.output);
        let limiter_delay = self.limiter.as_ref().map_or(0, Limiter::delay) as u64;
        let write_position = i64::try_from(self.end() + limiter_delay)
            .unwrap_or(i64::MAX)
            .saturating_add(resampler_delay);
        // Samples that are still to be skipped do not advance the write position.
        let gap = position
            .saturating_sub(write_position)
            .saturating_add(i64::try_from(self.skip).unwrap_or(i64::MAX));
        let jitter = i64::from(self.params.rate_hz) * TOLERANCE_MS / 1_000;
        let tolerance = if is_new_resampler { 0 } else { jitter };
        if gap > tolerance {
            // The silence belongs after the samples that resampler and limiter still hold.
            self.drain()?;
            self.prepare_resampler(frame)?;
            self.fill_silence_until(u64::try_from(position).unwrap_or(0));
            self.skip = 0;
        } else if gap < -tolerance {
            self.skip = self.skip.saturating_add(gap.unsigned_abs());
            // Audio before the start of the part was not asked for, so it does not count as lost.
            self.skips_overlap = gap < -jitter && self.end() > self.part_start;
        }
        self.resample(Some(frame))
    }

    /// Adds the samples that the resampler and the limiter still hold.
    pub(crate) fn drain(&mut self) -> Result<(), Failure> {
        if self.resampler.is_some() {
            self.resample(None)?;
            self.resampler = None;
        }
        if let Some(limiter) = &mut self.limiter {
            limiter.flush(&mut self.buffered);
        }
        self.count_new_samples();
        Ok(())
    }

    /// Removes `count` samples from the front, or all if there are fewer, as a frame for an encoder: packed
    /// (interleaved) or planar.
    pub(crate) fn read(&mut self, count: usize, packed: bool) -> Result<Audio, Failure> {
        let count = count.min(to_usize(self.end() - self.read_position));
        let arrangement = if packed { Type::Packed } else { Type::Planar };
        let mut frame = frame::new_audio(Sample::F32(arrangement), count, self.params.layout())
            .map_err(|error| error::engine_failure("audio frame", error))?;
        frame.set_rate(self.params.rate_hz);
        let (channels, runs) = (self.buffered.len(), self.read_runs(count as u64));
        for (index, channel) in self.buffered.iter_mut().enumerate() {
            let (plane, first, step) = if packed { (0, index, channels) } else { (index, 0, 1) };
            let mut output = frame.plane_mut::<f32>(plane).iter_mut().skip(first).step_by(step);
            for Run { silent, samples } in &runs {
                output.by_ref().take(to_usize(*silent)).for_each(|sample| *sample = 0.0);
                let buffered = channel.drain(..to_usize(*samples).min(channel.len()));
                // Not `zip`: it would skip an output sample before it finds that the buffered samples have ended.
                for sample in buffered {
                    if let Some(output_sample) = output.next() {
                        *output_sample = sample;
                    }
                }
            }
        }
        frame.set_pts(i64::try_from(self.read_position).ok());
        self.read_position += count as u64;
        Ok(frame)
    }

    /// Removes runs of `count` samples in total from the front.
    fn read_runs(&mut self, mut count: u64) -> Vec<Run> {
        let mut removed = Vec::new();
        while let Some(run) = self.runs.front_mut().filter(|_| count > 0) {
            let silent = run.silent.min(count);
            let samples = run.samples.min(count - silent);
            run.silent -= silent;
            run.samples -= samples;
            count -= silent + samples;
            removed.push(Run { silent, samples });
            if run.silent + run.samples == 0 {
                self.runs.pop_front();
            }
        }
        removed
    }

    /// Adds new samples in `buffered` to the last run. Samples beyond the limit are dropped.
    fn count_new_samples(&mut self) {
        let known: u64 = self.runs.iter().map(|run| run.samples).sum();
        let all = self.buffered.first().map_or(0, VecDeque::len);
        let kept = all.min(MAX_BUFFERED_SAMPLES) as u64;
        let (new, lost) = (kept.saturating_sub(known), all as u64 - kept);
        if lost > 0 {
            self.count_lost(self.end() + new, lost);
            for channel in &mut self.buffered {
                channel.truncate(MAX_BUFFERED_SAMPLES);
            }
        }
        match self.runs.back_mut() {
            Some(run) => run.samples += new,
            None => self.runs.push_back(Run {
                silent: 0,
                samples: new,
            }),
        }
    }

    fn count_lost(&mut self, position: u64, samples: u64) {
        let lost = self.lost.get_or_insert(Lost { position, samples: 0 });
        lost.samples = lost.samples.saturating_add(samples);
    }

    /// Replaces the resampler if the format of the frame has changed. Returns `true` for a new one.
    fn prepare_resampler(&mut self, frame: &mut Audio) -> Result<bool, Failure> {
        let failed = |error| error::read_failure("the audio", error);
        let mask = frame::ensure_native_layout(frame).ok_or_else(|| failed(ffmpeg_next::Error::InvalidData))?;
        let layout = ChannelLayout::from_bits_truncate(mask);
        let (format, rate) = (frame.format(), frame.rate());
        let accepts_frame = |resampler: &resampling::Context| {
            let input = resampler.input();
            input.format == format && input.rate == rate && input.channel_layout == layout
        };
        if self.resampler.as_ref().is_some_and(accepts_frame) {
            return Ok(false);
        }
        self.drain()?;
        // The downmix matrix is normalized so that all channels at full scale do not clip.
        let options: Dictionary<'_> = [("rematrix_maxval", "1.0")].into_iter().collect();
        let planar = Sample::F32(Type::Planar);
        let (to_layout, to_rate) = (self.params.layout(), self.params.rate_hz);
        let resampler = resampling::Context::get_with(format, layout, rate, planar, to_layout, to_rate, options);
        self.resampler = Some(resampler.map_err(failed)?);
        self.skip = 0;
        Ok(true)
    }

    /// Resamples a frame, or flushes the resampler (`None`), and passes the samples on to the limiter or the FIFO.
    fn resample(&mut self, frame: Option<&Audio>) -> Result<(), Failure> {
        let failed = |error| error::read_failure("the audio", error);
        let Some(resampler) = &mut self.resampler else {
            return Ok(());
        };
        let delayed = resampler.delay().map_or(0, |delay| delay.output);
        let resampled = frame.map_or(0, |frame| {
            u64::try_from(frame.samples()).unwrap_or(0) * u64::from(self.params.rate_hz)
                / u64::from(frame.rate().max(1))
        });
        // Some more, because the delay and the division are rounded.
        let capacity = usize::try_from(resampled).unwrap_or(0) + usize::try_from(delayed).unwrap_or(0) + 256;
        let planar = Sample::F32(Type::Planar);
        let mut output = frame::new_audio(planar, capacity, self.params.layout()).map_err(failed)?;
        match frame {
            Some(frame) => resampler.run(frame, &mut output),
            None => resampler.flush(&mut output),
        }
        .map_err(failed)?;
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(output.samples());
        self.skip -= skipped as u64;
        if self.skips_overlap && skipped > 0 {
            self.count_lost(self.end(), skipped as u64);
        }
        let plane = |index: usize| output.plane::<f32>(index).get(skipped..).unwrap_or_default();
        let planes: Vec<_> = (0..self.buffered.len()).map(plane).collect();
        match &mut self.limiter {
            Some(limiter) => limiter.push(&planes, &mut self.buffered),
            None => (self.buffered.iter_mut().zip(planes)).for_each(|(channel, samples)| channel.extend(samples)),
        }
        self.count_new_samples();
        Ok(())
    }
}

/// A number of samples in memory.
fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
