//! Sends frames to an open encoder and its packets to a muxer.

use crate::engine::error::{self, AGAIN};
use crate::engine::mux::muxer::Muxer;
use domain::Failure;
use ffmpeg_next::encoder::Encoder as OpenEncoder;
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{Error, Packet, picture};

/// An open encoder and its stream in a file.
pub(crate) struct Encoder {
    opened: OpenEncoder,
    time_base: ffmpeg_next::Rational,
    /// Index of the stream in the file.
    stream: usize,
    /// Duration of packets for which the encoder sets none, in units of `time_base`.
    default_duration: i64,
}

impl Encoder {
    /// Wraps an open encoder. Packets without a duration get `default_duration`, in units of `time_base`.
    pub(crate) const fn new(opened: OpenEncoder, time_base: ffmpeg_next::Rational, default_duration: i64) -> Self {
        Self {
            opened,
            time_base,
            stream: 0,
            default_duration,
        }
    }

    /// Adds the stream of the encoder to a file.
    pub(crate) fn add_stream_to(&mut self, muxer: &mut Muxer) -> Result<(), Failure> {
        self.stream = muxer.add_encoded_stream(&self.opened, self.time_base)?;
        Ok(())
    }

    /// Encodes a frame with the timestamp `pts`, in the time base of the encoder. Returns the number of packets
    /// written, which may be those of earlier frames.
    pub(crate) fn encode_frame(
        &mut self,
        frame: &mut Video,
        pts: u64,
        is_keyframe: bool,
        muxer: &mut Muxer,
    ) -> Result<u64, Failure> {
        frame.set_pts(i64::try_from(pts).ok());
        // Decoded frames have the frame type of the source, which an encoder would take as a request.
        frame.set_kind(if is_keyframe {
            picture::Type::I
        } else {
            picture::Type::None
        });
        self.opened
            .send_frame(frame)
            .map_err(|error| error::engine_failure("video encoder", error))?;
        self.drain(muxer)
    }

    /// Encodes a frame of samples. Returns the number of packets written.
    pub(crate) fn encode_samples(&mut self, samples: &Audio, muxer: &mut Muxer) -> Result<u64, Failure> {
        self.opened
            .send_frame(samples)
            .map_err(|error| error::engine_failure("audio encoder", error))?;
        self.drain(muxer)
    }

    /// Ends the stream. Returns the number of packets written: those that the encoder still held.
    pub(crate) fn finish(&mut self, muxer: &mut Muxer) -> Result<u64, Failure> {
        self.opened
            .send_eof()
            .map_err(|error| error::engine_failure("encoder", error))?;
        self.drain(muxer)
    }

    /// Writes the packets that are ready.
    fn drain(&mut self, muxer: &mut Muxer) -> Result<u64, Failure> {
        let mut count = 0;
        loop {
            let mut packet = Packet::empty();
            match self.opened.receive_packet(&mut packet) {
                Ok(()) => {
                    if packet.duration() == 0 {
                        packet.set_duration(self.default_duration);
                    }
                    muxer.write_packet(packet, self.stream, self.time_base)?;
                    count += 1;
                }
                Err(Error::Eof) => return Ok(count),
                Err(error) if error == AGAIN => return Ok(count),
                Err(error) => return Err(error::engine_failure("encoder", error)),
            }
        }
    }
}
