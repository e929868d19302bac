//! A FIFO of resampled audio. Gaps in the timestamps are filled with silence, overlaps are dropped.

use crate::engine::audio::limiter::{Gain, Limiter};
use crate::engine::audio::params::AudioParams;
use crate::engine::error;
use crate::engine::ffi::frame;
use domain::Failure;
use domain::protocol::LostSound;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::frame::Audio;
use ffmpeg_next::software::resampling;
use ffmpeg_next::{ChannelLayout, Dictionary};
use std::collections::VecDeque;

/// A clock that is off by less than this is jitter; more is a gap or an overlap.
const TOLERANCE_MS: i64 = 30;

/// Most samples of a channel that wait: three minutes. What comes beyond is lost and told, as in a file whose sound stands
/// far ahead of its pictures. Silence is only counted.
const MAX_WAITING: usize = 180 * 48_000;

/// Silence, and the samples after it.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    silent: u64,
    samples: u64,
}

/// Samples that are not on the tape: the position of the first of them, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lost {
    position: u64,
    samples: u64,
}

/// The tape; positions count samples from its beginning.
pub(crate) struct AudioFifo {
    params: AudioParams,
    /// What lies on the tape: so many silent samples, and so many of those that wait, in turn.
    runs: VecDeque<Run>,
    waiting: Vec<VecDeque<f32>>,
    taken: u64,
    /// The position at which the part begins that is being laid.
    start: u64,
    lost: Option<Lost>,
    /// Samples of what comes next that lie before the end of the tape.
    skip: u64,
    /// `true` while the skipped samples belong to a time of the part that has samples already.
    overlaps: bool,
    converter: Option<resampling::Context>,
    limiter: Option<Limiter>,
}

impl AudioFifo {
    pub(crate) fn new(params: AudioParams) -> Self {
        Self {
            params,
            runs: VecDeque::new(),
            waiting: vec![VecDeque::new(); usize::from(params.channels)],
            taken: 0,
            start: 0,
            lost: None,
            skip: 0,
            overlaps: false,
            converter: None,
            limiter: None,
        }
    }

    /// Where the tape ends.
    pub(crate) fn end(&self) -> u64 {
        self.taken + self.runs.iter().map(|run| run.silent + run.samples).sum::<u64>()
    }

    /// Samples for which there was no room, or which belong to a time that has samples already.
    pub(crate) fn lost(&self) -> Option<LostSound> {
        self.lost.map(|lost| LostSound {
            at_us: self.params.us_of(lost.position),
            length_us: self.params.us_of(lost.samples),
        })
    }

    /// Where the next sample to be taken stands.
    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Adds silence up to a position.
    pub(crate) fn silence_until(&mut self, position: u64) {
        let missing = position.saturating_sub(self.end());
        match self.runs.back_mut() {
            Some(run) if run.samples == 0 => run.silent += missing,
            _ => self.runs.push_back(Run {
                silent: missing,
                samples: 0,
            }),
        }
    }

    /// Cuts off what lies beyond a position.
    pub(crate) fn cut_at(&mut self, position: u64) {
        let mut excess = self.end().saturating_sub(position.max(self.taken));
        while let Some(run) = self.runs.back_mut().filter(|_| excess > 0) {
            let samples = run.samples.min(excess);
            let silent = run.silent.min(excess - samples);
            run.samples -= samples;
            run.silent -= silent;
            excess -= samples + silent;
            for channel in &mut self.waiting {
                channel.truncate(channel.len() - index(samples).min(channel.len()));
            }
            if run.samples + run.silent == 0 {
                self.runs.pop_back();
            }
        }
    }

    /// Ends what was laid at `position`; what is laid next is of another part, and brought to a level.
    pub(crate) fn begin(&mut self, position: u64, level: Option<Gain>) -> Result<(), Failure> {
        self.drain()?;
        self.limiter = level.map(|level| Limiter::new(level, self.waiting.len()));
        self.skip = 0;
        self.overlaps = false;
        self.cut_at(position);
        self.silence_until(position);
        self.start = position;
        Ok(())
    }

    /// Adds samples whose first one belongs at `position`, which may lie before the tape. Small differences to the
    /// end of the tape are jitter; a gap is filled with silence, an overlap is dropped. What lies before the part was
    /// not asked for; any other overlap is counted as lost.
    pub(crate) fn write(&mut self, frame: &mut Audio, position: i64) -> Result<(), Failure> {
        let fresh = self.ready_converter(frame)?;
        let buffered = self
            .converter
            .as_ref()
            .and_then(resampling::Context::delay)
            .map_or(0, |delay| delay.output);
        let held = self.limiter.as_ref().map_or(0, Limiter::delay) as u64;
        let laid = i64::try_from(self.end() + held).unwrap_or(i64::MAX);
        let gap = position
            .saturating_sub(laid.saturating_add(buffered))
            .saturating_add(i64::try_from(self.skip).unwrap_or(i64::MAX));
        let jitter = i64::from(self.params.rate_hz) * TOLERANCE_MS / 1_000;
        let tolerance = if fresh { 0 } else { jitter };
        if gap > tolerance {
            self.drain()?;
            self.ready_converter(frame)?;
            self.silence_until(u64::try_from(position).unwrap_or(0));
            self.skip = 0;
        } else if gap < -tolerance {
            self.skip = self.skip.saturating_add(gap.unsigned_abs());
            self.overlaps = gap < -jitter && self.end() > self.start;
        }
        self.convert(Some(frame))
    }

    /// Adds what the resampler and the leveler still hold.
    pub(crate) fn drain(&mut self) -> Result<(), Failure> {
        if self.converter.is_some() {
            self.convert(None)?;
            self.converter = None;
        }
        if let Some(limiter) = &mut self.limiter {
            limiter.flush(&mut self.waiting);
        }
        self.count_new();
        Ok(())
    }

    /// Takes `count` samples off the tape, as a frame for an encoder; fewer when there are fewer.
    pub(crate) fn take(&mut self, count: usize, packed: bool) -> Result<Audio, Failure> {
        let count = count.min(index(self.end() - self.taken));
        let arrangement = if packed { Type::Packed } else { Type::Planar };
        let mut frame = frame::new_audio(Sample::F32(arrangement), count, self.params.layout())
            .map_err(|error| error::engine("sound", error))?;
        frame.set_rate(self.params.rate_hz);
        let (width, cuts) = (self.waiting.len(), self.take_runs(count as u64));
        for (index, channel) in self.waiting.iter_mut().enumerate() {
            let (plane, first, step) = if packed { (0, index, width) } else { (index, 0, 1) };
            let mut places = frame.plane_mut::<f32>(plane).iter_mut().skip(first).step_by(step);
            for Run { silent, samples } in &cuts {
                places
                    .by_ref()
                    .take(self::index(*silent))
                    .for_each(|place| *place = 0.0);
                let taken = channel.drain(..self::index(*samples).min(channel.len()));
                // The samples are the shorter one: no place is taken and left.
                for sample in taken {
                    if let Some(place) = places.next() {
                        *place = sample;
                    }
                }
            }
        }
        frame.set_pts(i64::try_from(self.taken).ok());
        self.taken += count as u64;
        Ok(frame)
    }

    /// Takes runs of so many samples in all off the front.
    fn take_runs(&mut self, mut count: u64) -> Vec<Run> {
        let mut taken = Vec::new();
        while let Some(run) = self.runs.front_mut().filter(|_| count > 0) {
            let silent = run.silent.min(count);
            let samples = run.samples.min(count - silent);
            run.silent -= silent;
            run.samples -= samples;
            count -= silent + samples;
            taken.push(Run { silent, samples });
            if run.silent + run.samples == 0 {
                self.runs.pop_front();
            }
        }
        taken
    }

    /// Counts the samples that have been added; what there is no room for is lost.
    fn count_new(&mut self) {
        let known: u64 = self.runs.iter().map(|run| run.samples).sum();
        let all = self.waiting.first().map_or(0, VecDeque::len);
        let kept = all.min(MAX_WAITING) as u64;
        let (new, lost) = (kept.saturating_sub(known), all as u64 - kept);
        if lost > 0 {
            self.lose(self.end() + new, lost);
            for channel in &mut self.waiting {
                channel.truncate(MAX_WAITING);
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

    fn lose(&mut self, position: u64, samples: u64) {
        let lost = self.lost.get_or_insert(Lost { position, samples: 0 });
        lost.samples = lost.samples.saturating_add(samples);
    }

    /// Makes the resampler fit the frame; `true` when it is a new one.
    fn ready_converter(&mut self, frame: &mut Audio) -> Result<bool, Failure> {
        let failed = |error| error::reading("the sound", error);
        let mask = frame::settle_layout(frame).ok_or_else(|| failed(ffmpeg_next::Error::InvalidData))?;
        let layout = ChannelLayout::from_bits_truncate(mask);
        let (format, rate) = (frame.format(), frame.rate());
        let fits = |converter: &resampling::Context| {
            let input = converter.input();
            input.format == format && input.rate == rate && input.channel_layout == layout
        };
        if self.converter.as_ref().is_some_and(fits) {
            return Ok(false);
        }
        self.drain()?;
        // Several channels are mixed down so that even all of them at full scale do not clip.
        let options: Dictionary<'_> = [("rematrix_maxval", "1.0")].into_iter().collect();
        let planar = Sample::F32(Type::Planar);
        let to = (planar, self.params.layout(), self.params.rate_hz);
        let made = resampling::Context::get_with(format, layout, rate, to.0, to.1, to.2, options);
        self.converter = Some(made.map_err(failed)?);
        self.skip = 0;
        Ok(true)
    }

    /// Runs a frame, or at the end nothing, through the resampler onto the tape.
    fn convert(&mut self, frame: Option<&Audio>) -> Result<(), Failure> {
        let failed = |error| error::reading("the sound", error);
        let Some(converter) = &mut self.converter else {
            return Ok(());
        };
        let buffered = converter.delay().map_or(0, |delay| delay.output);
        let grown = frame.map_or(0, |frame| {
            u64::try_from(frame.samples()).unwrap_or(0) * u64::from(self.params.rate_hz)
                / u64::from(frame.rate().max(1))
        });
        let room = usize::try_from(grown).unwrap_or(0) + usize::try_from(buffered).unwrap_or(0) + 256;
        let planar = Sample::F32(Type::Planar);
        let mut out = frame::new_audio(planar, room, self.params.layout()).map_err(failed)?;
        match frame {
            Some(frame) => converter.run(frame, &mut out),
            None => converter.flush(&mut out),
        }
        .map_err(failed)?;
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(out.samples());
        self.skip -= skipped as u64;
        if self.overlaps && skipped > 0 {
            self.lose(self.end(), skipped as u64);
        }
        let plane = |index: usize| out.plane::<f32>(index).get(skipped..).unwrap_or_default();
        let planes: Vec<_> = (0..self.waiting.len()).map(plane).collect();
        match &mut self.limiter {
            Some(limiter) => limiter.push(&planes, &mut self.waiting),
            None => (self.waiting.iter_mut().zip(planes)).for_each(|(channel, samples)| channel.extend(samples)),
        }
        self.count_new();
        Ok(())
    }
}

/// A number of samples in memory.
fn index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
