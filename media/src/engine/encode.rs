//! Encoders on their way into a file. The settings of those of pictures are in [`super::settings`].

use super::color::Color;
use super::ear::Ear;
use super::fault;
use super::graph::frame_base;
use super::mux::{Container, Mux};
use super::settings;
use super::tape::{Sound, Tape};
use domain::plan::VideoOrder;
use domain::probe::Size;
use domain::protocol::Loudest;
use domain::{Failure, Rational};
use ffmpeg_next::codec::{Context, Flags};
use ffmpeg_next::color::Range;
use ffmpeg_next::encoder::{self, Encoder as Opened};
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::format::{Pixel, Sample};
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{Error, Packet, picture};

/// An open encoder and its stream in a file.
pub(super) struct Encoder {
    opened: Opened,
    base: ffmpeg_next::Rational,
    stream: usize,
    /// Length of a packet that does not tell its own, in units of `base`.
    packet_length: i64,
}

impl Encoder {
    /// Adds the encoder's stream to a file.
    pub(super) fn join(&mut self, mux: &mut Mux) -> Result<(), Failure> {
        self.stream = mux.add(&self.opened, self.base)?;
        Ok(())
    }

    /// Encodes a picture, as a keyframe if need be; returns how many packets came out.
    pub(super) fn picture(&mut self, picture: &mut Video, at: u64, key: bool, mux: &mut Mux) -> Result<u64, Failure> {
        picture.set_pts(i64::try_from(at).ok());
        // The type of the source's frame is no wish for ours.
        picture.set_kind(if key { picture::Type::I } else { picture::Type::None });
        self.opened
            .send_frame(picture)
            .map_err(|error| fault::engine("video encoder", error))?;
        self.drain(mux)
    }

    /// Encodes samples.
    fn sound(&mut self, samples: &Audio, mux: &mut Mux) -> Result<u64, Failure> {
        self.opened
            .send_frame(samples)
            .map_err(|error| fault::engine("audio encoder", error))?;
        self.drain(mux)
    }

    /// Ends the stream; returns how many packets came out.
    pub(super) fn finish(&mut self, mux: &mut Mux) -> Result<u64, Failure> {
        self.opened
            .send_eof()
            .map_err(|error| fault::engine("encoder", error))?;
        self.drain(mux)
    }

    fn drain(&mut self, mux: &mut Mux) -> Result<u64, Failure> {
        let mut count = 0;
        loop {
            let mut packet = Packet::empty();
            match self.opened.receive_packet(&mut packet) {
                Ok(()) => {
                    if packet.duration() == 0 {
                        packet.set_duration(self.packet_length);
                    }
                    mux.write(packet, self.stream, self.base)?;
                    count += 1;
                }
                Err(Error::Eof) => return Ok(count),
                Err(error) if error == fault::AGAIN => return Ok(count),
                Err(error) => return Err(fault::engine("encoder", error)),
            }
        }
    }
}

/// Opens the encoder that an order asks for: constant rate factor, 4:2:0, 8 bits, closed groups of pictures.
pub(super) fn video(order: &VideoOrder, fps: Rational, color: Color, threads: u32) -> Result<Encoder, Failure> {
    let name = settings::encoder(order.codec);
    let failed = |error| fault::engine(name, error);
    let Size { width_px, height_px } = order.picture.canvas;
    let codec = encoder::find_by_name(name).ok_or_else(|| fault::missing(name))?;
    let mut context = Context::new_with_codec(codec);
    context.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
    let mut video = context.encoder().video().map_err(failed)?;
    let base = frame_base(fps);
    video.set_width(width_px);
    video.set_height(height_px);
    video.set_format(Pixel::YUV420P);
    video.set_aspect_ratio((1, 1));
    video.set_time_base(base);
    video.set_frame_rate(Some(base.invert()));
    video.set_color_range(Range::MPEG);
    video.set_color_primaries(color.primaries);
    video.set_color_transfer_characteristic(color.transfer);
    video.set_colorspace(color.matrix);
    let opened = video
        .open_as_with(codec, settings::options(order, threads))
        .map_err(failed)?;
    Ok(Encoder {
        opened: opened.0.0,
        base,
        stream: 0,
        packet_length: 1,
    })
}

/// Opens the encoder of animations, whose pictures have palettes and whose times count hundredths of a second.
pub(super) fn gif(size: Size) -> Result<Encoder, Failure> {
    let failed = |error| fault::engine("gif", error);
    let codec = encoder::find_by_name("gif").ok_or_else(|| fault::missing("gif"))?;
    let mut video = Context::new_with_codec(codec).encoder().video().map_err(failed)?;
    let base = ffmpeg_next::Rational::new(1, 100);
    video.set_width(size.width_px);
    video.set_height(size.height_px);
    video.set_format(Pixel::PAL8);
    video.set_time_base(base);
    let opened = video.open_as(codec).map_err(failed)?;
    Ok(Encoder {
        opened: opened.0.0,
        base,
        stream: 0,
        packet_length: 0,
    })
}

/// Sound on its way from a tape through an encoder into a file.
pub(super) struct SoundEncoder {
    encoder: Encoder,
    frame_size: usize,
    packed: bool,
    ear: Ear,
}

/// Opens the encoder of a container: AAC, MP3 or Opus.
pub(super) fn sound(container: Container, sound: Sound, bitrate_bps: u32) -> Result<SoundEncoder, Failure> {
    let channels = u32::from(sound.channels);
    let (name, packed, bitrate_bps) = match container {
        Container::Mp4 | Container::M4a => ("aac", false, bitrate_bps),
        Container::Mp3 => ("libmp3lame", false, bitrate_bps.min(320_000)),
        Container::Opus | Container::Webm => ("libopus", true, bitrate_bps.min(256_000 * channels)),
        Container::Gif => return Err(fault::missing("sound in animations")),
    };
    let failed = |error| fault::engine(name, error);
    let codec = encoder::find_by_name(name).ok_or_else(|| fault::missing(name))?;
    let mut context = Context::new_with_codec(codec);
    if container.has_global_headers() {
        context.set_flags(Flags::GLOBAL_HEADER);
    }
    let mut audio = context.encoder().audio().map_err(failed)?;
    let base = ffmpeg_next::Rational::new(1, i32::try_from(sound.rate_hz).unwrap_or(48_000));
    audio.set_rate(base.denominator());
    audio.set_channel_layout(sound.layout());
    audio.set_format(Sample::F32(if packed { Type::Packed } else { Type::Planar }));
    audio.set_bit_rate(usize::try_from(bitrate_bps).unwrap_or(128_000));
    audio.set_time_base(base);
    let opened = audio.open_as(codec).map_err(failed)?;
    Ok(SoundEncoder {
        frame_size: usize::try_from(opened.frame_size()).unwrap_or(0).max(1),
        packed,
        ear: Ear::new(sound),
        encoder: Encoder {
            opened: opened.0.0,
            base,
            stream: 0,
            packet_length: 0,
        },
    })
}

impl SoundEncoder {
    /// Adds the encoder's stream to a file.
    pub(super) fn join(&mut self, mux: &mut Mux) -> Result<(), Failure> {
        self.encoder.join(mux)
    }

    /// Encodes whole frames of what the tape has before a position.
    pub(super) fn encode_until(&mut self, position: u64, tape: &mut Tape, mux: &mut Mux) -> Result<(), Failure> {
        while tape.taken() + self.frame_size as u64 <= position.min(tape.end()) {
            self.encode(tape, mux)?;
        }
        Ok(())
    }

    /// Encodes all that the tape has, and ends the stream; tells where it was loudest.
    pub(super) fn finish(&mut self, tape: &mut Tape, mux: &mut Mux) -> Result<Option<Loudest>, Failure> {
        self.encode_until(u64::MAX, tape, mux)?;
        if tape.taken() < tape.end() {
            self.encode(tape, mux)?;
        }
        self.encoder.finish(mux)?;
        Ok(self.ear.loudest())
    }

    /// Encodes a frame off the tape.
    fn encode(&mut self, tape: &mut Tape, mux: &mut Mux) -> Result<(), Failure> {
        let samples = tape.take(self.frame_size, self.packed)?;
        self.ear.hear(&samples);
        self.encoder.sound(&samples, mux).map(drop)
    }
}
