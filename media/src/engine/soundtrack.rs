//! The sound under a movie: silence under the intro, the source's sound in step with its pictures, silence to the end.

use super::encode::{self, SoundEncoder};
use super::mux::{Container, Mux};
use super::tape::{Sound, Tape};
use domain::Failure;
use ffmpeg_next::frame::Audio;

/// Sound that comes more than this before the first picture is not held back any longer.
const MAX_HELD_US: i64 = 10_000_000;

/// The sound of one movie; its tape begins with the intro.
pub(super) struct Soundtrack {
    sound: Sound,
    tape: Tape,
    encoder: SoundEncoder,
    /// Samples under the intro.
    intro: u64,
    /// What came before the first picture told where its slot is.
    held: Vec<(Audio, i64)>,
    /// Whether it is no longer held back.
    released: bool,
}

impl Soundtrack {
    /// Opens the encoder and adds its stream to the movie. The intro lasts `intro_us` microseconds.
    pub(super) fn open(sound: Sound, bitrate_bps: u32, intro_us: u64, mux: &mut Mux) -> Result<Self, Failure> {
        let mut encoder = encode::sound(Container::Mp4, sound, bitrate_bps)?;
        encoder.join(mux)?;
        let mut tape = Tape::new(sound);
        let intro = samples(sound, intro_us);
        tape.silence_until(intro);
        Ok(Self {
            sound,
            tape,
            encoder,
            intro,
            held: Vec::new(),
            released: false,
        })
    }

    /// Takes samples that are heard `at_us` after the start of the span.
    pub(super) fn hear(&mut self, sound: Audio, at_us: i64) {
        self.held.push((sound, at_us));
        self.released |= at_us > MAX_HELD_US;
    }

    /// Lays what was taken on the tape, once it is known at which time of the span the pictures begin.
    pub(super) fn release(&mut self, zero_us: Option<i64>) -> Result<(), Failure> {
        let Some(zero_us) = zero_us.or(self.released.then_some(0)) else {
            return Ok(());
        };
        let intro = i64::try_from(self.intro).unwrap_or(i64::MAX);
        for (mut sound, at_us) in self.held.drain(..) {
            let position = self.sound.samples_in(at_us.saturating_sub(zero_us));
            self.tape.lay(&mut sound, position.saturating_add(intro))?;
        }
        Ok(())
    }

    /// Encodes as far as there are pictures above it: `us` microseconds of the movie.
    pub(super) fn encode_until(&mut self, us: u64, mux: &mut Mux) -> Result<(), Failure> {
        let position = samples(self.sound, us);
        self.encoder.encode_until(position, &mut self.tape, mux)
    }

    /// Ends the source's sound at `main_end_us` and the movie's at `end_us`.
    pub(super) fn finish(&mut self, main_end_us: u64, end_us: u64, mux: &mut Mux) -> Result<(), Failure> {
        self.tape.drain()?;
        self.tape.cut_at(samples(self.sound, main_end_us));
        self.tape.silence_until(samples(self.sound, end_us));
        self.encoder.finish(&mut self.tape, mux)
    }
}

fn samples(sound: Sound, us: u64) -> u64 {
    u64::try_from(sound.samples_in(i64::try_from(us).unwrap_or(i64::MAX))).unwrap_or(0)
}
