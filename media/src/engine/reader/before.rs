//! The picture before a span, which is still shown where the span begins before its first own one, or has none.

use super::{Reader, Sink};
use domain::Failure;
use ffmpeg_next::frame::Video;

/// The last picture that began before the span.
pub(super) struct Before {
    pub(super) picture: Video,
    /// How long it is shown in the span when no other follows, in microseconds.
    pub(super) left_us: i64,
}

impl Reader {
    /// Gives it away where the span begins long before its first own picture, at `first_us`.
    pub(super) fn give_before(&mut self, first_us: i64, sink: &mut dyn Sink) -> Result<(), Failure> {
        let usual_us = self.video.as_ref().map_or(0, |track| track.interval_us);
        let span_us = self.end_us.map_or(i64::MAX, |end| end.saturating_sub(self.start_us));
        match (self.before.take(), &mut self.video) {
            (Some(Before { picture, .. }), Some(track)) if first_us > usual_us * 3 / 2 || first_us >= span_us => {
                let length_us = first_us.min(span_us);
                track.reached_us = track.reached_us.max(length_us);
                sink.picture(picture, 0, length_us)
            }
            _ => Ok(()),
        }
    }

    /// Gives it away where no picture begins in the span: it is shown until `until_us`, or all the time.
    pub(super) fn give_only(&mut self, until_us: Option<i64>, sink: &mut dyn Sink) -> Result<(), Failure> {
        let span_us = self.end_us.map_or(0, |end| end.saturating_sub(self.start_us));
        let length_us = until_us.unwrap_or(span_us);
        let before = self.before.take().filter(|_| length_us > 0);
        let Some((Before { picture, .. }, track)) = before.zip(self.video.as_mut()) else {
            return Ok(());
        };
        track.reached_us = track.reached_us.max(length_us);
        sink.picture(picture, 0, length_us)
    }
}
