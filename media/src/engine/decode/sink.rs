//! The consumer of decoded frames, samples and packets.

use crate::engine::demux::copy_source::TrackKind;
use domain::Failure;
use ffmpeg_next::Packet;
use ffmpeg_next::frame::{Audio, Video};

/// Receives what a reader delivers. Times are part times in microseconds.
pub(crate) trait Sink {
    /// Takes the next frame; `duration_us` is approximate.
    fn frame(&mut self, frame: Video, at_us: i64, duration_us: i64) -> Result<(), Failure>;
    /// Ends the video. The last frame is shown until `until_us`; `None` is the end of the span, where the source
    /// continues after it.
    fn video_end(&mut self, until_us: Option<i64>) -> Result<(), Failure>;
    /// Takes the next samples.
    fn audio(&mut self, audio: Audio, at_us: i64) -> Result<(), Failure>;
    /// Takes a packet before it is decoded; its timestamps are source times in the time base of the stream.
    fn packet(&mut self, _packet: &Packet, _kind: TrackKind) -> Result<(), Failure> {
        Ok(())
    }
    /// Returns `true` while decoded frames or samples of this kind are needed.
    fn needs_decoded(&self, _kind: TrackKind) -> bool {
        true
    }
    /// Returns `false` when no more media is needed. Called between packets.
    fn wants_more(&mut self) -> bool;
}
