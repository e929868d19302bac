//! Listens for the loudest moment of sound: before it is encoded, so that there is something to look for, and in the
//! finished file, where silence in its place is a fault.

use super::facts::to_us;
use super::tape::{Sound, Tape};
use super::track::Track;
use domain::Failure;
use domain::protocol::Loudest;
use ffmpeg_next::Packet;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::frame::Audio;

/// What stays below this is silence, in thousandths of full scale: an encoder may leave it out.
const SILENCE_PERMILLE: u32 = 10;

/// How far around the moment the finished file is decoded: decoders need a while, and clocks are off by a packet.
const AROUND_US: u64 = 500_000;

/// How much of the way to the next sample the two curves go that only follow what is below 1 kHz, and below 80 Hz.
/// What is between them no encoder leaves out, as it may do with a constant or with what few people hear.
const LOW: f32 = 0.123;
const SLOW: f32 = 0.010_4;

/// After so many samples the curves have found a constant that the sound begins with.
const SETTLED: u64 = 960;

/// Keeps the curves from running into numbers so small that the processor is slow with them.
const HUM: f32 = 1e-18;

/// What was heard of sound whose samples came without a gap.
pub(super) struct Ear {
    sound: Sound,
    curves: Vec<Curves>,
    heard: u64,
    peak: f32,
    peak_at: u64,
}

/// A channel, ever smoother.
#[derive(Clone, Default)]
struct Curves {
    low: f32,
    lower: f32,
    slow: f32,
}

impl Curves {
    /// How far the sample is from silence, as far as it matters.
    fn follow(&mut self, sample: f32) -> f32 {
        self.low += LOW * (sample + HUM - self.low);
        self.lower += LOW * (self.low - self.lower);
        self.slow += SLOW * (self.lower - self.slow);
        (self.lower - self.slow).abs()
    }
}

impl Ear {
    pub(super) fn new(sound: Sound) -> Self {
        Self {
            sound,
            curves: vec![Curves::default(); usize::from(sound.channels)],
            heard: 0,
            peak: 0.0,
            peak_at: 0,
        }
    }

    /// Listens to a frame that was taken off a tape.
    pub(super) fn hear(&mut self, samples: &Audio) {
        let packed = samples.format() == Sample::F32(Type::Packed);
        let (count, width) = (samples.samples(), self.curves.len());
        for (index, curves) in self.curves.iter_mut().enumerate() {
            let (plane, first, step) = if packed { (0, index, width) } else { (index, 0, 1) };
            let channel = samples.plane::<f32>(plane).iter().skip(first).step_by(step);
            for (place, sample) in (self.heard..).zip(channel.take(count)) {
                let loud = curves.follow(*sample);
                if loud > self.peak && place >= SETTLED {
                    (self.peak, self.peak_at) = (loud, place);
                }
            }
        }
        self.heard += count as u64;
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative, and what is too large becomes the largest"
    )]
    fn peak_permille(&self) -> u32 {
        (self.peak * 1_000.0) as u32
    }

    /// The loudest moment of all; `None` when all was silence.
    pub(super) fn loudest(&self) -> Option<Loudest> {
        let peak_permille = self.peak_permille();
        (peak_permille >= SILENCE_PERMILLE).then(|| Loudest {
            at_us: self.sound.us_of(self.peak_at),
            peak_permille,
        })
    }
}

/// Decodes the sound of a finished file around one moment, while its packets come by.
pub(super) struct Listener {
    track: Track,
    at_us: i64,
    tape: Tape,
    ear: Ear,
}

impl Listener {
    /// Opens a decoder of its own for a stream: a beginning in its middle is no damage.
    pub(super) fn open(input: &Input, index: usize, loudest: Loudest) -> Result<Self, Failure> {
        let track = Track::open_to_check(input, index)?;
        let sound = Sound::of_output(track.facts.sample_rate_hz, track.facts.channels);
        Ok(Self {
            track,
            at_us: i64::try_from(loudest.at_us).unwrap_or(i64::MAX),
            tape: Tape::new(sound),
            ear: Ear::new(sound),
        })
    }

    /// Decodes a packet when it is near the moment.
    pub(super) fn pass(&mut self, packet: &Packet) -> Result<(), Failure> {
        let time = packet.pts().or_else(|| packet.dts()).unwrap_or(0);
        let near = to_us(time, self.track.base).abs_diff(self.at_us) <= AROUND_US;
        if near && packet.stream() == self.track.index {
            self.track.send(Some(packet));
            self.take()?;
        }
        Ok(())
    }

    /// Ends it; returns the peak that was found, in thousandths of full scale.
    pub(super) fn finish(mut self) -> Result<u32, Failure> {
        self.track.send(None);
        self.take()?;
        self.tape.drain()?;
        let count = usize::try_from(self.tape.end()).unwrap_or(0);
        if count > 0 {
            self.ear.hear(&self.tape.take(count, false)?);
        }
        Ok(self.ear.peak_permille())
    }

    fn take(&mut self) -> Result<(), Failure> {
        let mut samples = Audio::empty();
        while self.track.receive(&mut samples)? {
            let end = i64::try_from(self.tape.end()).unwrap_or(i64::MAX);
            self.tape.lay(&mut samples, end)?;
        }
        Ok(())
    }
}
