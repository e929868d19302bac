//! Selects frames for outputs that sample them: posters, sprites and animations. Times count along the joined spans.

use crate::engine::error;
use crate::engine::fanout::channel::{MediaItem, MediaSender};
use crate::engine::ffi::frame;
use crate::engine::time::signed_us;
use domain::{Failure, Rational};
use ffmpeg_next::frame::Video;

/// The pictures that are shown at moments at even distances; the last one where a moment comes after all of them.
pub(crate) struct FrameSampler {
    next_us: i64,
    every_us: i64,
    left: u64,
    /// The best picture so far for the next moment.
    best: Option<(Video, i64)>,
}

impl FrameSampler {
    /// `count` moments, the first of them at `first_us`.
    pub(crate) fn new(first_us: u64, every_us: u64, count: u64) -> Self {
        Self {
            next_us: signed_us(first_us),
            every_us: signed_us(every_us).max(1),
            left: count,
            best: None,
        }
    }

    /// Whether nothing more is wanted.
    pub(crate) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Looks at the next picture, and sends those whose moments are reached.
    pub(crate) fn offer(&mut self, frame: &Video, at_us: i64, to: &MediaSender) -> Result<(), Failure> {
        loop {
            if at_us <= self.next_us || self.best.is_none() {
                self.best = Some((share(frame)?, at_us));
            }
            if self.left == 0 || at_us < self.next_us {
                return Ok(());
            }
            self.send(to)?;
        }
    }

    /// No picture follows.
    pub(crate) fn end(&mut self, to: &MediaSender) -> Result<(), Failure> {
        while self.left > 0 && self.best.is_some() {
            self.send(to)?;
        }
        Ok(())
    }

    fn send(&mut self, to: &MediaSender) -> Result<(), Failure> {
        self.left -= 1;
        self.next_us = self.next_us.saturating_add(self.every_us);
        if let Some((frame, at_us)) = &self.best {
            let item = MediaItem::Frame {
                frame: share(frame)?.into(),
                at_us: *at_us,
                duration_us: 0,
            };
            // An output that is gone tells why when its thread is joined.
            if !to.send(item) {
                self.left = 0;
            }
        }
        Ok(())
    }
}

/// The pictures of a part of the joined spans, with times that count from its beginning.
pub(crate) struct FrameRange {
    start_us: i64,
    end_us: i64,
    /// A first picture that comes later than this leaves capacity for the one before.
    late_us: i64,
    before: Option<Video>,
    begun: bool,
    over: bool,
}

impl FrameRange {
    /// What is shown from `start_us` until `end_us`, for a rate of `fps`.
    pub(crate) fn new(start_us: u64, end_us: u64, fps: Rational) -> Self {
        Self {
            start_us: signed_us(start_us),
            end_us: signed_us(end_us),
            late_us: signed_us(fps.duration_us(1) / 2),
            before: None,
            begun: false,
            over: false,
        }
    }

    /// Whether nothing more is wanted.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// Looks at the next picture, and sends it if it belongs there.
    pub(crate) fn offer(
        &mut self,
        (frame, at_us): (&Video, i64),
        duration_us: i64,
        to: &MediaSender,
    ) -> Result<(), Failure> {
        if self.over {
            return Ok(());
        }
        if at_us < self.start_us {
            self.before = Some(share(frame)?);
            return Ok(());
        }
        let own_us = at_us - self.start_us;
        if own_us > self.late_us || at_us >= self.end_us {
            self.send_before(own_us, to);
        }
        if at_us >= self.end_us {
            self.end(None, to);
            return Ok(());
        }
        let frame = share(frame)?;
        self.send(frame, own_us, duration_us, to);
        Ok(())
    }

    /// No picture follows; the last one stands until `until_us`, or to the end when there is more after the spans.
    pub(crate) fn end(&mut self, until_us: Option<i64>, to: &MediaSender) {
        if !self.over {
            let until_us = until_us.map(|us| us.saturating_sub(self.start_us));
            self.send_before(1, to);
            self.over = true;
            let _ = to.send(MediaItem::VideoEnd { until_us });
        }
    }

    /// Sends the picture before the first one, which is still shown for so long.
    fn send_before(&mut self, duration_us: i64, to: &MediaSender) {
        if let Some(frame) = self.before.take().filter(|_| !self.begun) {
            self.send(frame, 0, duration_us, to);
        }
    }

    fn send(&mut self, frame: Video, at_us: i64, duration_us: i64, to: &MediaSender) {
        self.begun = true;
        let item = MediaItem::Frame {
            frame: frame.into(),
            at_us,
            duration_us,
        };
        // As above.
        self.over |= !to.send(item);
    }
}

fn share(frame: &Video) -> Result<Video, Failure> {
    frame::share_video(frame).map_err(|error| error::engine_failure("picture", error))
}
