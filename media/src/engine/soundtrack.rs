//! The sound under a movie: that of every part in step with its pictures, silence where there is none.

use super::encode::{self, SoundEncoder};
use super::level::Level;
use super::mux::Mux;
use super::tape::{Sound, Tape};
use domain::Failure;
use domain::protocol::{LostSound, Loudest};
use ffmpeg_next::frame::Audio;

/// Sound that comes more than this before the first picture is not held back any longer. The reader stops at 30 s and a packet
/// while there are pictures to come.
const MAX_HELD_US: i64 = 35_000_000;

/// Most bytes of decoded sound that wait for the first picture.
const MAX_HELD_BYTES: usize = 64 << 20;

/// The sound of one movie.
pub(super) struct Soundtrack {
    sound: Sound,
    tape: Tape,
    encoder: SoundEncoder,
    /// Where the part that is heard begins, in samples.
    begin: i64,
    /// What came before the first picture told where its slot is.
    held: Vec<(Audio, i64)>,
    held_bytes: usize,
    /// Whether it is no longer held back.
    released: bool,
    /// `true` once samples of the part were added to the tape.
    laid: bool,
    /// The zero of the pictures when sound was added before it was known. That sound stays where it is, so later sound keeps the
    /// same offset; only jumps of the clock after that count.
    ignored_us: Option<i64>,
}

impl Soundtrack {
    /// Opens the encoder of the movie's container and adds its stream to the movie.
    pub(super) fn open(sound: Sound, bitrate_bps: u32, language: Option<&str>, mux: &mut Mux) -> Result<Self, Failure> {
        let sound = mux.container().sound(sound);
        let mut encoder = encode::sound(mux.container(), sound, bitrate_bps)?;
        encoder.join(mux)?;
        mux.speak(language);
        Ok(Self {
            sound,
            tape: Tape::new(sound),
            encoder,
            begin: 0,
            held: Vec::new(),
            held_bytes: 0,
            released: false,
            laid: false,
            ignored_us: None,
        })
    }

    /// Ends what was heard `us` microseconds into the movie; what follows begins there, at a level.
    pub(super) fn begin(&mut self, us: u64, level: Option<Level>) -> Result<(), Failure> {
        let position = samples(self.sound, us);
        self.tape.begin(position, level)?;
        self.begin = i64::try_from(position).unwrap_or(i64::MAX);
        self.held.clear();
        self.held_bytes = 0;
        self.released = false;
        self.laid = false;
        self.ignored_us = None;
        Ok(())
    }

    /// Takes samples that are heard `at_us` after the start of the part.
    pub(super) fn hear(&mut self, sound: Audio, at_us: i64) {
        self.held_bytes += (0..sound.planes()).map(|plane| sound.data(plane).len()).sum::<usize>();
        self.held.push((sound, at_us));
        self.released |= at_us > MAX_HELD_US || self.held_bytes > MAX_HELD_BYTES;
    }

    /// Lays what was taken on the tape, once it is known at which time of the part the pictures begin.
    pub(super) fn release(&mut self, zero_us: Option<i64>) -> Result<(), Failure> {
        let zero_us = match zero_us {
            Some(zero_us) => {
                zero_us.saturating_sub(*self.ignored_us.get_or_insert(if self.laid { zero_us } else { 0 }))
            }
            None if self.released => 0,
            None => return Ok(()),
        };
        self.laid |= !self.held.is_empty();
        self.held_bytes = 0;
        for (mut sound, at_us) in self.held.drain(..) {
            let position = self.sound.samples_in(at_us.saturating_sub(zero_us));
            self.tape.lay(&mut sound, position.saturating_add(self.begin))?;
        }
        Ok(())
    }

    /// Encodes as far as there are pictures above it: `us` microseconds of the movie.
    pub(super) fn encode_until(&mut self, us: u64, mux: &mut Mux) -> Result<(), Failure> {
        let position = samples(self.sound, us);
        self.encoder.encode_until(position, &mut self.tape, mux)
    }

    /// How far the sound goes that was taken, in microseconds of the movie.
    pub(super) fn reached_us(&self) -> u64 {
        self.sound.us_of(self.tape.end())
    }

    /// Sound that the movie lacks, as [`Tape::lost`] tells.
    pub(super) fn lost(&self) -> Option<LostSound> {
        self.tape.lost()
    }

    /// Ends the sound and the movie at `us`; tells where it was loudest.
    pub(super) fn finish(&mut self, us: u64, mux: &mut Mux) -> Result<Option<Loudest>, Failure> {
        self.begin(us, None)?;
        self.encoder.finish(&mut self.tape, mux)
    }
}

fn samples(sound: Sound, us: u64) -> u64 {
    u64::try_from(sound.samples_in(i64::try_from(us).unwrap_or(i64::MAX))).unwrap_or(0)
}
