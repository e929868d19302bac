//! Audio encoders: AAC, MP3 and Opus, with samples from an [`AudioFifo`].

use crate::engine::audio::fifo::AudioFifo;
use crate::engine::audio::params::AudioParams;
use crate::engine::audio::peak_meter::PeakMeter;
use crate::engine::encode::encoder::Encoder;
use crate::engine::error;
use crate::engine::mux::container::Container;
use crate::engine::mux::muxer::Muxer;
use domain::Failure;
use domain::protocol::AudioPeak;
use ffmpeg_next::codec::{Context, Flags};
use ffmpeg_next::encoder;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;

/// Encodes samples of an [`AudioFifo`] into the audio stream of a file, and measures their peak.
pub(crate) struct AudioEncoder {
    encoder: Encoder,
    /// Samples per frame that the encoder requires.
    frame_samples: usize,
    /// `true` for interleaved samples.
    packed: bool,
    peak_meter: PeakMeter,
}

/// Opens the audio encoder of a container. The bit rate is limited to what the format allows: 320 kbit/s for MP3, and
/// for Opus 256 kbit/s per channel, the maximum of libopus.
pub(crate) fn open_audio(container: Container, params: AudioParams, bitrate_bps: u32) -> Result<AudioEncoder, Failure> {
    let channels = u32::from(params.channels);
    let (name, packed, bitrate_bps) = match container {
        Container::Mp4 | Container::M4a => ("aac", false, bitrate_bps),
        Container::Mp3 => ("libmp3lame", false, bitrate_bps.min(320_000)),
        Container::Opus | Container::Webm => ("libopus", true, bitrate_bps.min(256_000 * channels)),
        Container::Gif => return Err(error::missing_component("audio in GIF files")),
    };
    let failed = |error| error::engine_failure(name, error);
    let codec = encoder::find_by_name(name).ok_or_else(|| error::missing_component(name))?;
    let mut context = Context::new_with_codec(codec);
    if container.has_global_headers() {
        context.set_flags(Flags::GLOBAL_HEADER);
    }
    let mut audio = context.encoder().audio().map_err(failed)?;
    let time_base = ffmpeg_next::Rational::new(1, i32::try_from(params.rate_hz).unwrap_or(48_000));
    audio.set_rate(time_base.denominator());
    audio.set_channel_layout(params.layout());
    audio.set_format(Sample::F32(if packed { Type::Packed } else { Type::Planar }));
    audio.set_bit_rate(usize::try_from(bitrate_bps).unwrap_or(128_000));
    audio.set_time_base(time_base);
    let opened = audio
        .open_as(codec)
        .map_err(|error| error::unopened_encoder(name, error))?;
    Ok(AudioEncoder {
        frame_samples: usize::try_from(opened.frame_size()).unwrap_or(0).max(1),
        packed,
        peak_meter: PeakMeter::new(params),
        encoder: Encoder::new(opened.0.0, time_base, 0),
    })
}

impl AudioEncoder {
    /// Adds the stream of the encoder to a file.
    pub(crate) fn add_stream_to(&mut self, muxer: &mut Muxer) -> Result<(), Failure> {
        self.encoder.add_stream_to(muxer)
    }

    /// Encodes the samples before a position, in complete frames. A rest of less than a frame stays in the FIFO.
    pub(crate) fn encode_until(
        &mut self,
        position: u64,
        fifo: &mut AudioFifo,
        muxer: &mut Muxer,
    ) -> Result<(), Failure> {
        while fifo.read_position() + self.frame_samples as u64 <= position.min(fifo.end()) {
            self.encode_next(fifo, muxer)?;
        }
        Ok(())
    }

    /// Encodes all samples and ends the stream. Returns the peak of all encoded audio.
    pub(crate) fn finish(&mut self, fifo: &mut AudioFifo, muxer: &mut Muxer) -> Result<Option<AudioPeak>, Failure> {
        self.encode_until(u64::MAX, fifo, muxer)?;
        // The last frame may be shorter.
        if fifo.read_position() < fifo.end() {
            self.encode_next(fifo, muxer)?;
        }
        self.encoder.finish(muxer)?;
        Ok(self.peak_meter.audio_peak())
    }

    /// Encodes the next frame of the FIFO.
    fn encode_next(&mut self, fifo: &mut AudioFifo, muxer: &mut Muxer) -> Result<(), Failure> {
        let samples = fifo.read(self.frame_samples, self.packed)?;
        self.peak_meter.push(&samples);
        self.encoder.encode_samples(&samples, muxer).map(drop)
    }
}
