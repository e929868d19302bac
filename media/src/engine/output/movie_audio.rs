//! Audio of a movie: resampled into one FIFO, aligned with the frames of each part, and encoded as far as there is
//! video.
//!
//! *Problem.* A movie is joined from parts: bumpers and spans of the source. In each part, the first frame may have a
//! timestamp after the start of the part, but is shown at its start. Audio must be shifted by the same amount, and it
//! may be decoded before the first frame is.
//!
//! *Mechanism.* Audio of a part is held until the timestamp of its first frame (`zero_us`) is known, then written into
//! the FIFO at its position in the movie. The FIFO fills gaps with silence and drops overlaps.
//! [`MovieAudio::encode_until`] encodes as far as the video reaches.
//!
//! *Invariants.* The audio of a movie has no gaps, and its duration is that of the video. Held audio is bounded by
//! [`MAX_HELD_US`] and [`MAX_HELD_BYTES`]; beyond that it is written without a shift, and later audio of the part keeps
//! the same offset, because samples that are in the FIFO cannot be moved.

use crate::engine::audio::fifo::AudioFifo;
use crate::engine::audio::limiter::Gain;
use crate::engine::audio::params::AudioParams;
use crate::engine::encode::audio::{self, AudioEncoder};
use crate::engine::mux::muxer::Muxer;
use domain::Failure;
use domain::protocol::{AudioPeak, LostAudio};
use ffmpeg_next::frame::Audio;

/// Maximum time of audio in microseconds that is held until the first frame. The reader waits at most 30 s and one
/// packet for a frame.
const MAX_HELD_US: i64 = 35_000_000;

/// Maximum size of decoded audio that is held until the first frame.
const MAX_HELD_BYTES: usize = 64 << 20;

/// The audio of one movie.
pub(crate) struct MovieAudio {
    audio: AudioParams,
    fifo: AudioFifo,
    encoder: AudioEncoder,
    /// Start of the current part in samples of the movie.
    part_start: i64,
    /// Audio that arrived before the first frame of the part.
    held: Vec<HeldAudio>,
    held_bytes: usize,
    /// Set if a limit was reached: audio of the part no longer waits for the first frame.
    is_over_limit: bool,
    /// Set if samples of the part were written into the FIFO.
    has_written: bool,
    /// The `zero_us` that is ignored, because audio was written before it was known. Later changes of `zero_us` count
    /// relative to it.
    ignored_zero_us: Option<i64>,
}

struct HeldAudio {
    samples: Audio,
    /// Time in microseconds after the start of the part.
    at_us: i64,
}

impl MovieAudio {
    /// Opens the encoder for the container and adds its stream to the muxer.
    pub(crate) fn open(
        audio: AudioParams,
        bitrate_bps: u32,
        language: Option<&str>,
        muxer: &mut Muxer,
    ) -> Result<Self, Failure> {
        let audio = muxer.container().audio_params(audio);
        let mut encoder = audio::open_audio(muxer.container(), audio, bitrate_bps)?;
        encoder.add_stream_to(muxer)?;
        muxer.set_language(language);
        Ok(Self {
            audio,
            fifo: AudioFifo::new(audio),
            encoder,
            part_start: 0,
            held: Vec::new(),
            held_bytes: 0,
            is_over_limit: false,
            has_written: false,
            ignored_zero_us: None,
        })
    }

    /// Begins a part at `us` microseconds of the movie, with a gain. Audio of the previous part after that time is
    /// dropped.
    pub(crate) fn begin_part(&mut self, us: u64, gain: Option<Gain>) -> Result<(), Failure> {
        let position = us_to_samples(self.audio, us);
        self.fifo.begin_part(position, gain)?;
        self.part_start = i64::try_from(position).unwrap_or(i64::MAX);
        self.held.clear();
        self.held_bytes = 0;
        self.is_over_limit = false;
        self.has_written = false;
        self.ignored_zero_us = None;
        Ok(())
    }

    /// Adds samples with a time in microseconds after the start of the part.
    pub(crate) fn push(&mut self, samples: Audio, at_us: i64) {
        self.held_bytes += (0..samples.planes())
            .map(|plane| samples.data(plane).len())
            .sum::<usize>();
        self.held.push(HeldAudio { samples, at_us });
        self.is_over_limit |= at_us > MAX_HELD_US || self.held_bytes > MAX_HELD_BYTES;
    }

    /// Writes the held audio into the FIFO once `zero_us` is known: the time of the part that its first frame has,
    /// which is shown at the start of the part.
    pub(crate) fn write_held(&mut self, zero_us: Option<i64>) -> Result<(), Failure> {
        let zero_us = match zero_us {
            Some(zero_us) => {
                let ignored_us = if self.has_written { zero_us } else { 0 };
                zero_us.saturating_sub(*self.ignored_zero_us.get_or_insert(ignored_us))
            }
            None if self.is_over_limit => 0,
            None => return Ok(()),
        };
        self.has_written |= !self.held.is_empty();
        self.held_bytes = 0;
        for HeldAudio { mut samples, at_us } in self.held.drain(..) {
            let position = self.audio.us_to_samples(at_us.saturating_sub(zero_us));
            self.fifo
                .write(&mut samples, position.saturating_add(self.part_start))?;
        }
        Ok(())
    }

    /// Encodes the audio up to `us` microseconds of the movie, the end of the video so far.
    pub(crate) fn encode_until(&mut self, us: u64, muxer: &mut Muxer) -> Result<(), Failure> {
        let position = us_to_samples(self.audio, us);
        self.encoder.encode_until(position, &mut self.fifo, muxer)
    }

    /// Returns the end of the audio in the FIFO in microseconds of the movie.
    pub(crate) fn reached_us(&self) -> u64 {
        self.audio.samples_to_us(self.fifo.end())
    }

    /// Returns the audio that is missing in the movie; see [`AudioFifo::lost_audio`].
    pub(crate) fn lost_audio(&self) -> Option<LostAudio> {
        self.fifo.lost_audio()
    }

    /// Ends the audio at `us` microseconds of the movie and finishes the encoder. Returns the audio peak; `None` if the
    /// audio is silent.
    pub(crate) fn finish(&mut self, us: u64, muxer: &mut Muxer) -> Result<Option<AudioPeak>, Failure> {
        self.begin_part(us, None)?;
        self.encoder.finish(&mut self.fifo, muxer)
    }
}

/// Converts microseconds to samples.
fn us_to_samples(audio: AudioParams, us: u64) -> u64 {
    u64::try_from(audio.us_to_samples(i64::try_from(us).unwrap_or(i64::MAX))).unwrap_or(0)
}
