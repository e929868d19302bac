//! The consumer of decoded frames, samples and packets.

use crate::engine::demux::copy_source::TrackKind;
use domain::Failure;
use ffmpeg_next::Packet;
use ffmpeg_next::frame::{Audio, Video};

/// Who takes what a reader decodes. Times count in microseconds from the start of the part.
pub(crate) trait Sink {
    /// The next picture, shown for about `duration_us`.
    fn frame(&mut self, frame: Video, at_us: i64, duration_us: i64) -> Result<(), Failure>;
    /// No picture follows. The last one stands until `until_us`, or to the end of the span when there is more after it.
    fn video_end(&mut self, until_us: Option<i64>) -> Result<(), Failure>;
    /// The next samples.
    fn audio(&mut self, audio: Audio, at_us: i64) -> Result<(), Failure>;
    /// A packet that was read, before it is decoded; its times are the source's.
    fn packet(&mut self, _packet: &Packet, _kind: TrackKind) -> Result<(), Failure> {
        Ok(())
    }
    /// Whether anybody wants what is in packets.
    fn needs_decoded(&self, _kind: TrackKind) -> bool {
        true
    }
    /// Called between packets; `false` when nobody wants anything more.
    fn wants_more(&mut self) -> bool;
}
