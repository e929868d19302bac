//! An open encoder whose packets go into a muxer.

use crate::engine::error::{self, AGAIN};
use crate::engine::mux::muxer::Muxer;
use domain::Failure;
use ffmpeg_next::encoder::Encoder as Opened;
use ffmpeg_next::frame::{Audio, Video};
use ffmpeg_next::{Error, Packet, picture};

/// An open encoder and its stream in a file.
pub(crate) struct Encoder {
    opened: Opened,
    base: ffmpeg_next::Rational,
    stream: usize,
    /// Length of a packet that does not tell its own, in units of `base`.
    packet_length: i64,
}

impl Encoder {
    /// An encoder that has no stream yet; `packet_length` is that of packets without a duration, in units of `base`.
    pub(crate) const fn new(opened: Opened, base: ffmpeg_next::Rational, packet_length: i64) -> Self {
        Self {
            opened,
            base,
            stream: 0,
            packet_length,
        }
    }

    /// Adds the encoder's stream to a file.
    pub(crate) fn join(&mut self, muxer: &mut Muxer) -> Result<(), Failure> {
        self.stream = muxer.add(&self.opened, self.base)?;
        Ok(())
    }

    /// Encodes a picture, as a keyframe if need be; returns how many packets came out.
    pub(crate) fn encode_frame(
        &mut self,
        frame: &mut Video,
        at: u64,
        key: bool,
        muxer: &mut Muxer,
    ) -> Result<u64, Failure> {
        frame.set_pts(i64::try_from(at).ok());
        // The frame type of the source does not decide ours.
        frame.set_kind(if key { picture::Type::I } else { picture::Type::None });
        self.opened
            .send_frame(frame)
            .map_err(|error| error::engine("video encoder", error))?;
        self.drain(muxer)
    }

    /// Encodes samples.
    pub(crate) fn encode_samples(&mut self, samples: &Audio, muxer: &mut Muxer) -> Result<u64, Failure> {
        self.opened
            .send_frame(samples)
            .map_err(|error| error::engine("audio encoder", error))?;
        self.drain(muxer)
    }

    /// Ends the stream; returns how many packets came out.
    pub(crate) fn finish(&mut self, muxer: &mut Muxer) -> Result<u64, Failure> {
        self.opened
            .send_eof()
            .map_err(|error| error::engine("encoder", error))?;
        self.drain(muxer)
    }

    fn drain(&mut self, muxer: &mut Muxer) -> Result<u64, Failure> {
        let mut count = 0;
        loop {
            let mut packet = Packet::empty();
            match self.opened.receive_packet(&mut packet) {
                Ok(()) => {
                    if packet.duration() == 0 {
                        packet.set_duration(self.packet_length);
                    }
                    muxer.write(packet, self.stream, self.base)?;
                    count += 1;
                }
                Err(Error::Eof) => return Ok(count),
                Err(error) if error == AGAIN => return Ok(count),
                Err(error) => return Err(error::engine("encoder", error)),
            }
        }
    }
}
