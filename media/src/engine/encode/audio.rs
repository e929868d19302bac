//! Opens audio encoders and feeds them from an [`AudioFifo`].

use crate::engine::audio::fifo::AudioFifo;
use crate::engine::audio::params::AudioParams;
use crate::engine::audio::peak_meter::PeakMeter;
use crate::engine::encode::encoder::Encoder;
use crate::engine::error;
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::Muxer;
use domain::Failure;
use domain::protocol::Loudest;
use ffmpeg_next::codec::{Context, Flags};
use ffmpeg_next::encoder;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;

/// Sound on its way from a tape through an encoder into a file.
pub(crate) struct AudioEncoder {
    encoder: Encoder,
    frame_size: usize,
    packed: bool,
    peak_meter: PeakMeter,
}

/// Opens the encoder of a container: AAC, MP3 or Opus.
pub(crate) fn open_audio(container: Container, params: AudioParams, bitrate_bps: u32) -> Result<AudioEncoder, Failure> {
    let channels = u32::from(params.channels);
    let (name, packed, bitrate_bps) = match container {
        Container::Mp4 | Container::M4a => ("aac", false, bitrate_bps),
        Container::Mp3 => ("libmp3lame", false, bitrate_bps.min(320_000)),
        Container::Opus | Container::Webm => ("libopus", true, bitrate_bps.min(256_000 * channels)),
        Container::Gif => return Err(error::missing("sound in animations")),
    };
    let failed = |error| error::engine(name, error);
    let codec = encoder::find_by_name(name).ok_or_else(|| error::missing(name))?;
    let mut context = Context::new_with_codec(codec);
    if container.has_global_headers() {
        context.set_flags(Flags::GLOBAL_HEADER);
    }
    let mut audio = context.encoder().audio().map_err(failed)?;
    let base = ffmpeg_next::Rational::new(1, i32::try_from(params.rate_hz).unwrap_or(48_000));
    audio.set_rate(base.denominator());
    audio.set_channel_layout(params.layout());
    audio.set_format(Sample::F32(if packed { Type::Packed } else { Type::Planar }));
    audio.set_bit_rate(usize::try_from(bitrate_bps).unwrap_or(128_000));
    audio.set_time_base(base);
    let opened = audio.open_as(codec).map_err(failed)?;
    Ok(AudioEncoder {
        frame_size: usize::try_from(opened.frame_size()).unwrap_or(0).max(1),
        packed,
        peak_meter: PeakMeter::new(params),
        encoder: Encoder::new(opened.0.0, base, 0),
    })
}

impl AudioEncoder {
    /// Adds the encoder's stream to a file.
    pub(crate) fn join(&mut self, muxer: &mut Muxer) -> Result<(), Failure> {
        self.encoder.join(muxer)
    }

    /// Encodes whole frames of what the tape has before a position.
    pub(crate) fn encode_until(
        &mut self,
        position: u64,
        fifo: &mut AudioFifo,
        muxer: &mut Muxer,
    ) -> Result<(), Failure> {
        while fifo.taken() + self.frame_size as u64 <= position.min(fifo.end()) {
            self.encode(fifo, muxer)?;
        }
        Ok(())
    }

    /// Encodes all that the tape has, and ends the stream; tells where it was loudest.
    pub(crate) fn finish(&mut self, fifo: &mut AudioFifo, muxer: &mut Muxer) -> Result<Option<Loudest>, Failure> {
        self.encode_until(u64::MAX, fifo, muxer)?;
        if fifo.taken() < fifo.end() {
            self.encode(fifo, muxer)?;
        }
        self.encoder.finish(muxer)?;
        Ok(self.peak_meter.loudest())
    }

    /// Encodes a frame off the tape.
    fn encode(&mut self, fifo: &mut AudioFifo, muxer: &mut Muxer) -> Result<(), Failure> {
        let samples = fifo.take(self.frame_size, self.packed)?;
        self.peak_meter.push(&samples);
        self.encoder.encode_samples(&samples, muxer).map(drop)
    }
}
