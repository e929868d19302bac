//! A tape of samples: whatever the source does in time, what is taken off is one unbroken run.

use super::level::{Level, Leveler};
use super::{av, fault};
use domain::Failure;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::frame::Audio;
use ffmpeg_next::software::resampling;
use ffmpeg_next::{ChannelLayout, Dictionary};
use std::collections::VecDeque;

/// A clock that is off by less than this is jitter; more is a gap or an overlap.
const TOLERANCE_MS: i64 = 30;

/// Most samples of a channel that wait: three minutes. What comes beyond is lost, as in a file whose sound stands far
/// ahead of its pictures.
const MAX_WAITING: usize = 180 * 48_000;

/// Sampling rate and channels of the sound of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sound {
    pub(super) rate_hz: u32,
    pub(super) channels: u16,
}

impl Sound {
    /// 44.1 kHz stays, all else becomes 48 kHz; mono stays, all else becomes stereo.
    pub(super) const fn of_output(source_rate_hz: u32, source_channels: u32) -> Self {
        Self {
            rate_hz: if source_rate_hz == 44_100 { 44_100 } else { 48_000 },
            channels: if source_channels == 1 { 1 } else { 2 },
        }
    }

    /// The layout of its channels.
    pub(super) const fn layout(self) -> ChannelLayout {
        if self.channels == 1 {
            ChannelLayout::MONO
        } else {
            ChannelLayout::STEREO
        }
    }

    /// How many samples last `us` microseconds, to the nearest.
    pub(super) fn samples_in(self, us: i64) -> i64 {
        let product = i128::from(us) * i128::from(self.rate_hz);
        i64::try_from((2 * product + 1_000_000).div_euclid(2_000_000)).unwrap_or(i64::MAX)
    }

    /// How long `samples` samples last, in microseconds, to the nearest.
    pub(super) fn us_of(self, samples: u64) -> u64 {
        let rate = u128::from(self.rate_hz);
        u64::try_from((u128::from(samples) * 1_000_000 + rate / 2) / rate).unwrap_or(u64::MAX)
    }
}

/// The tape; positions count samples from its beginning.
pub(super) struct Tape {
    sound: Sound,
    waiting: Vec<VecDeque<f32>>,
    taken: u64,
    /// Samples of what comes next that lie before the end of the tape.
    skip: u64,
    converter: Option<resampling::Context>,
    leveler: Option<Leveler>,
}

impl Tape {
    pub(super) fn new(sound: Sound) -> Self {
        Self {
            sound,
            waiting: vec![VecDeque::new(); usize::from(sound.channels)],
            taken: 0,
            skip: 0,
            converter: None,
            leveler: None,
        }
    }

    /// Where the tape ends.
    pub(super) fn end(&self) -> u64 {
        self.taken + self.waiting.first().map_or(0, VecDeque::len) as u64
    }

    /// Where the next sample to be taken stands.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Adds silence up to a position.
    pub(super) fn silence_until(&mut self, position: u64) {
        let missing = usize::try_from(position.saturating_sub(self.end()))
            .unwrap_or(0)
            .min(MAX_WAITING);
        for channel in &mut self.waiting {
            channel.resize(channel.len() + missing, 0.0);
        }
    }

    /// Cuts off what lies beyond a position.
    pub(super) fn cut_at(&mut self, position: u64) {
        let keep = usize::try_from(position.saturating_sub(self.taken)).unwrap_or(usize::MAX);
        for channel in &mut self.waiting {
            channel.truncate(keep);
        }
    }

    /// Ends what was laid at `position`; what is laid next is of another part, and brought to a level.
    pub(super) fn begin(&mut self, position: u64, level: Option<Level>) -> Result<(), Failure> {
        self.drain()?;
        self.leveler = level.map(|level| Leveler::new(level, self.waiting.len()));
        self.skip = 0;
        self.cut_at(position);
        self.silence_until(position);
        Ok(())
    }

    /// Adds samples whose first one belongs at `position`, which may lie before the tape. Small differences to the
    /// end of the tape are jitter; a gap is filled with silence, an overlap is dropped.
    pub(super) fn lay(&mut self, frame: &mut Audio, position: i64) -> Result<(), Failure> {
        let fresh = self.ready_converter(frame)?;
        let buffered = self
            .converter
            .as_ref()
            .and_then(resampling::Context::delay)
            .map_or(0, |delay| delay.output);
        let held = self.leveler.as_ref().map_or(0, Leveler::delay) as u64;
        let laid = i64::try_from(self.end() + held).unwrap_or(i64::MAX);
        let gap = position
            .saturating_sub(laid.saturating_add(buffered))
            .saturating_add(i64::try_from(self.skip).unwrap_or(i64::MAX));
        let tolerance = if fresh {
            0
        } else {
            i64::from(self.sound.rate_hz) * TOLERANCE_MS / 1_000
        };
        if gap > tolerance {
            self.drain()?;
            self.ready_converter(frame)?;
            self.silence_until(u64::try_from(position).unwrap_or(0));
            self.skip = 0;
        } else if gap < -tolerance {
            self.skip = self.skip.saturating_add(gap.unsigned_abs());
        }
        self.convert(Some(frame))
    }

    /// Adds what the resampler and the leveler still hold.
    pub(super) fn drain(&mut self) -> Result<(), Failure> {
        if self.converter.is_some() {
            self.convert(None)?;
            self.converter = None;
        }
        if let Some(leveler) = &mut self.leveler {
            leveler.flush(&mut self.waiting);
        }
        Ok(())
    }

    /// Takes `count` samples off the tape, as a frame for an encoder; fewer when there are fewer.
    pub(super) fn take(&mut self, count: usize, packed: bool) -> Result<Audio, Failure> {
        let count = count.min(self.waiting.first().map_or(0, VecDeque::len));
        let arrangement = if packed { Type::Packed } else { Type::Planar };
        let mut frame = av::new_sound(Sample::F32(arrangement), count, self.sound.layout())
            .map_err(|error| fault::engine("sound", error))?;
        frame.set_rate(self.sound.rate_hz);
        let width = self.waiting.len();
        for (index, channel) in self.waiting.iter_mut().enumerate() {
            let (plane, first, step) = if packed { (0, index, width) } else { (index, 0, 1) };
            let places = frame.plane_mut::<f32>(plane).iter_mut().skip(first).step_by(step);
            places
                .zip(channel.drain(..count))
                .for_each(|(place, sample)| *place = sample);
        }
        frame.set_pts(i64::try_from(self.taken).ok());
        self.taken += count as u64;
        Ok(frame)
    }

    /// Makes the resampler fit the frame; `true` when it is a new one.
    fn ready_converter(&mut self, frame: &mut Audio) -> Result<bool, Failure> {
        let failed = |error| fault::reading("the sound", error);
        let mask = av::settle_layout(frame).ok_or_else(|| failed(ffmpeg_next::Error::InvalidData))?;
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
        let to = (planar, self.sound.layout(), self.sound.rate_hz);
        let made = resampling::Context::get_with(format, layout, rate, to.0, to.1, to.2, options);
        self.converter = Some(made.map_err(failed)?);
        self.skip = 0;
        Ok(true)
    }

    /// Runs a frame, or at the end nothing, through the resampler onto the tape.
    fn convert(&mut self, frame: Option<&Audio>) -> Result<(), Failure> {
        let failed = |error| fault::reading("the sound", error);
        let Some(converter) = &mut self.converter else {
            return Ok(());
        };
        let buffered = converter.delay().map_or(0, |delay| delay.output);
        let grown = frame.map_or(0, |frame| {
            u64::try_from(frame.samples()).unwrap_or(0) * u64::from(self.sound.rate_hz) / u64::from(frame.rate().max(1))
        });
        let room = usize::try_from(grown).unwrap_or(0) + usize::try_from(buffered).unwrap_or(0) + 256;
        let planar = Sample::F32(Type::Planar);
        let mut out = av::new_sound(planar, room, self.sound.layout()).map_err(failed)?;
        match frame {
            Some(frame) => converter.run(frame, &mut out),
            None => converter.flush(&mut out),
        }
        .map_err(failed)?;
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(out.samples());
        self.skip -= skipped as u64;
        let plane = |index: usize| out.plane::<f32>(index).get(skipped..).unwrap_or_default();
        let planes: Vec<_> = (0..self.waiting.len()).map(plane).collect();
        match &mut self.leveler {
            Some(leveler) => leveler.push(&planes, &mut self.waiting),
            None => (self.waiting.iter_mut().zip(planes)).for_each(|(channel, samples)| channel.extend(samples)),
        }
        for channel in &mut self.waiting {
            channel.truncate(MAX_WAITING);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEREO: Sound = Sound {
        rate_hz: 48_000,
        channels: 2,
    };

    fn frame(rate: u32, samples: usize, value: f32) -> Audio {
        let mut frame = av::new_sound(Sample::F32(Type::Planar), samples, ChannelLayout::STEREO).unwrap();
        frame.set_rate(rate);
        for plane in 0..2 {
            frame.plane_mut::<f32>(plane).fill(value);
        }
        frame
    }

    fn all(tape: &mut Tape) -> Vec<f32> {
        let count = usize::try_from(tape.end() - tape.taken()).unwrap();
        if count == 0 {
            Vec::new()
        } else {
            tape.take(count, false).unwrap().plane::<f32>(1).to_vec()
        }
    }

    #[test]
    fn samples_before_the_tape_are_cut_to_the_sample_and_gaps_become_silence() {
        let mut tape = Tape::new(STEREO);
        tape.lay(&mut frame(48_000, 1_000, 0.5), -400).unwrap();
        tape.lay(&mut frame(48_000, 1_000, 0.25), 10_000).unwrap();
        let samples = all(&mut tape);
        assert_eq!(samples.len(), 11_000);
        assert_eq!(
            (samples[0], samples[599], samples[600], samples[9_999]),
            (0.5, 0.5, 0.0, 0.0)
        );
        assert_eq!((samples[10_000], samples[10_999]), (0.25, 0.25));
    }

    #[test]
    fn jitter_changes_nothing_and_an_overlap_is_dropped() {
        let mut tape = Tape::new(STEREO);
        for (n, jitter) in [(0, 0), (1, 300), (2, -300), (3, 100)] {
            tape.lay(&mut frame(48_000, 1_024, 0.1), n * 1_024 + jitter).unwrap();
        }
        assert_eq!(tape.end(), 4_096);
        tape.lay(&mut frame(48_000, 4_096, 0.2), 2_048).unwrap();
        assert_eq!(tape.end(), 6_144);
    }

    #[test]
    fn another_rate_keeps_the_length() {
        let mut tape = Tape::new(STEREO);
        for n in 0..44 {
            tape.lay(&mut frame(44_100, 1_002, 0.3), n * 1_002 * 160 / 147).unwrap();
        }
        tape.drain().unwrap();
        let expected = 44 * 1_002 * 160 / 147;
        assert!(tape.end().abs_diff(expected) <= 2, "{} for {expected}", tape.end());
    }
}
