//! Audio of a movie: every part in step with its frames, silence where a part has none.

use crate::engine::audio::fifo::AudioFifo;
use crate::engine::audio::limiter::Gain;
use crate::engine::audio::params::AudioParams;
use crate::engine::encode::audio::{self, AudioEncoder};
use crate::engine::mux::muxer::Muxer;
use domain::Failure;
use domain::protocol::{LostSound, Loudest};
use ffmpeg_next::frame::Audio;

/// Sound that comes more than this before the first picture is not held back any longer. The reader stops at 30 s and a packet
/// while there are pictures to come.
const MAX_HELD_US: i64 = 35_000_000;

/// Most bytes of decoded sound that wait for the first picture.
const MAX_HELD_BYTES: usize = 64 << 20;

/// The sound of one movie.
pub(crate) struct MovieAudio {
    audio: AudioParams,
    fifo: AudioFifo,
    encoder: AudioEncoder,
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

impl MovieAudio {
    /// Opens the encoder of the movie's container and adds its stream to the movie.
    pub(crate) fn open(
        audio: AudioParams,
        bitrate_bps: u32,
        language: Option<&str>,
        muxer: &mut Muxer,
    ) -> Result<Self, Failure> {
        let audio = muxer.container().audio_params(audio);
        let mut encoder = audio::open_audio(muxer.container(), audio, bitrate_bps)?;
        encoder.join(muxer)?;
        muxer.set_language(language);
        Ok(Self {
            audio,
            fifo: AudioFifo::new(audio),
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
    pub(crate) fn begin(&mut self, us: u64, level: Option<Gain>) -> Result<(), Failure> {
        let position = samples(self.audio, us);
        self.fifo.begin(position, level)?;
        self.begin = i64::try_from(position).unwrap_or(i64::MAX);
        self.held.clear();
        self.held_bytes = 0;
        self.released = false;
        self.laid = false;
        self.ignored_us = None;
        Ok(())
    }

    /// Takes samples that are heard `at_us` after the start of the part.
    pub(crate) fn push(&mut self, audio: Audio, at_us: i64) {
        self.held_bytes += (0..audio.planes()).map(|plane| audio.data(plane).len()).sum::<usize>();
        self.held.push((audio, at_us));
        self.released |= at_us > MAX_HELD_US || self.held_bytes > MAX_HELD_BYTES;
    }

    /// Lays what was taken on the tape, once it is known at which time of the part the pictures begin.
    pub(crate) fn release(&mut self, zero_us: Option<i64>) -> Result<(), Failure> {
        let zero_us = match zero_us {
            Some(zero_us) => {
                zero_us.saturating_sub(*self.ignored_us.get_or_insert(if self.laid { zero_us } else { 0 }))
            }
            None if self.released => 0,
            None => return Ok(()),
        };
        self.laid |= !self.held.is_empty();
        self.held_bytes = 0;
        for (mut audio, at_us) in self.held.drain(..) {
            let position = self.audio.samples_in(at_us.saturating_sub(zero_us));
            self.fifo.write(&mut audio, position.saturating_add(self.begin))?;
        }
        Ok(())
    }

    /// Encodes as far as there are pictures above it: `us` microseconds of the movie.
    pub(crate) fn encode_until(&mut self, us: u64, muxer: &mut Muxer) -> Result<(), Failure> {
        let position = samples(self.audio, us);
        self.encoder.encode_until(position, &mut self.fifo, muxer)
    }

    /// How far the sound goes that was taken, in microseconds of the movie.
    pub(crate) fn reached_us(&self) -> u64 {
        self.audio.us_of(self.fifo.end())
    }

    /// Sound that the movie lacks, as [`AudioFifo::lost`] tells.
    pub(crate) fn lost(&self) -> Option<LostSound> {
        self.fifo.lost()
    }

    /// Ends the sound and the movie at `us`; tells where it was loudest.
    pub(crate) fn finish(&mut self, us: u64, muxer: &mut Muxer) -> Result<Option<Loudest>, Failure> {
        self.begin(us, None)?;
        self.encoder.finish(&mut self.fifo, muxer)
    }
}

fn samples(audio: AudioParams, us: u64) -> u64 {
    u64::try_from(audio.samples_in(i64::try_from(us).unwrap_or(i64::MAX))).unwrap_or(0)
}
